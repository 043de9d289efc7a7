//! Takes what is posted to a loopback port, and keeps it.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::post::Post;

pub struct Posts {
    pub url: String,
    posts: Receiver<Post>,
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
                if sender
                    .send(Post::take(&stream).expect("a whole request"))
                    .is_err()
                {
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

/// Whether it was signed with this secret.
pub fn is_signed_with(post: &Post, secret: &str) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(&post.body);
    let digest = mac.finalize().into_bytes();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    post.header("x-eventlake-signature") == Some(&format!("sha256={digest}"))
}
