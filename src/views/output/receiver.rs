//! A receiver of posts in this process, on a loopback port, for the tests of who posts.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

#[path = "../../../tests/support/post.rs"]
mod post;

pub use post::Post;

/// Answers one request a connection with these, in turn; an empty one is never given, and the connection left open.
pub fn receiver(answers: &[&str]) -> (String, Receiver<Post>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        let mut unanswered = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().expect("a client");
            // Whoever does not look at the requests any more has dropped the other end.
            let _ = sender.send(Post::take(&stream).expect("a whole request"));
            (&stream).write_all(answer.as_bytes()).expect("an answer");
            if answer.is_empty() {
                unanswered.push(stream);
            }
        }
        std::thread::sleep(Duration::from_secs(if unanswered.is_empty() { 0 } else { 10 }));
    });
    (address, requests)
}

pub fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}
