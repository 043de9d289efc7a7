//! Takes what is posted to a loopback port, and keeps it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

pub struct Posts {
    pub url: String,
    posts: Receiver<Post>,
}

/// One request: its header lines and its body.
pub struct Post {
    head: Vec<String>,
    body: Vec<u8>,
}

impl Posts {
    /// Answers every request with 204 for as long as the test runs.
    pub fn start() -> Posts {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/alerts", listener.local_addr().expect("an address"));
        let (sender, posts) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                if sender.send(Post::take(&stream)).is_err() {
                    return;
                }
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                (&stream).write_all(answer).expect("an answer");
            }
        });
        Posts { url, posts }
    }

    /// What has come so far.
    pub fn taken(&self) -> Vec<Post> {
        self.posts.try_iter().collect()
    }
}

impl Post {
    fn take(stream: &TcpStream) -> Post {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let mut post = Post {
            head,
            body: Vec::new(),
        };
        let length = post.header("content-length").expect("a length");
        post.body = vec![0; length.parse().expect("a number")];
        reader.read_exact(&mut post.body).expect("a body");
        post
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.iter().filter_map(|line| line.split_once(": "));
        let found = values.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Whether it was signed with this secret.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
        mac.update(&self.body);
        let digest = mac.finalize().into_bytes();
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.header("x-eventlake-signature") == Some(&format!("sha256={digest}"))
    }
}
