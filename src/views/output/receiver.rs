//! A receiver of posts in this process, on a loopback port, for the tests of who posts.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

pub struct Request {
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.head.iter().filter_map(|line| line.split_once(": "));
        let mut values = values.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Answers one request a connection with these, in turn; an empty one is never given, and the connection left open.
pub fn receiver(answers: &[&str]) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        let mut unanswered = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().expect("a client");
            // Whoever does not look at the requests any more has dropped the other end.
            let _ = sender.send(request_of(&stream));
            (&stream).write_all(answer.as_bytes()).expect("an answer");
            if answer.is_empty() {
                unanswered.push(stream);
            }
        }
        std::thread::sleep(Duration::from_secs(if unanswered.is_empty() { 0 } else { 10 }));
    });
    (address, requests)
}

pub fn request_of(stream: impl Read) -> Request {
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
    let mut request = Request {
        head,
        body: Vec::new(),
    };
    let length = request.header("content-length").expect("a length");
    request.body = vec![0; length.parse().expect("a number")];
    reader.read_exact(&mut request.body).expect("a body");
    request
}

pub fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}
