//! One request as a receiver of posts reads it, for the tests of who posts.

use std::io::{BufRead as _, BufReader, Read};

use serde_json::Value;

/// Its header lines, the first one included, and its body.
pub struct Post {
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

impl Post {
    /// Reads a whole request; None where it breaks off, as from a process that was killed.
    pub fn take(stream: impl Read) -> Option<Post> {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let mut post = Post {
            head,
            body: Vec::new(),
        };
        let length = post.header("content-length").unwrap_or("0");
        post.body = vec![0; length.parse().expect("a number")];
        reader.read_exact(&mut post.body).ok()?;
        Some(post)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.head.iter().filter_map(|line| line.split_once(": "));
        let mut values = values.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}
