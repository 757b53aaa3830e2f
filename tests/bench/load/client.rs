//! One keep-alive connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

/// A server that has not answered by then has failed.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
    filled: usize,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { stream, answer: vec![0; 1 << 20], filled: 0 }
    }

    /// Sends a whole request and reads its whole answer: the status and how many bytes its body has on the wire.
    pub(crate) fn ask(&mut self, request: &[u8]) -> (u16, usize) {
        self.answered(request).expect("an answer over HTTP/1.1")
    }

    /// What was last answered, head and body.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.answer[..self.filled]).into_owned()
    }

    fn answered(&mut self, request: &[u8]) -> io::Result<(u16, usize)> {
        self.stream.write_all(request)?;
        self.filled = 0;
        let head = loop {
            if let Some(end) = find(&self.answer[..self.filled], b"\r\n\r\n") {
                break end + 4;
            }
            self.more()?;
        };
        let text = String::from_utf8_lossy(&self.answer[..head]).to_ascii_lowercase();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length = if header("transfer-encoding:") == Some("chunked") {
            self.chunks(head)?
        } else {
            let length = header("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
            self.fill(head + length)?;
            length
        };
        Ok((status, length))
    }

    /// Reads chunks to the last one, without trailers.
    fn chunks(&mut self, mut at: usize) -> io::Result<usize> {
        let mut length = 0;
        loop {
            let line = self.line(at)?;
            let size = std::str::from_utf8(&self.answer[line.clone()]).ok();
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok()).ok_or(io::ErrorKind::InvalidData)?;
            at = line.end + 2 + size + 2;
            self.fill(at)?;
            length += size;
            if size == 0 {
                return Ok(length);
            }
        }
    }

    fn line(&mut self, from: usize) -> io::Result<Range<usize>> {
        loop {
            if let Some(length) = find(&self.answer[from.min(self.filled)..self.filled], b"\r\n") {
                return Ok(from..from + length);
            }
            self.more()?;
        }
    }

    fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.filled < length {
            self.more()?;
        }
        Ok(())
    }

    fn more(&mut self) -> io::Result<()> {
        if self.filled == self.answer.len() {
            self.answer.resize(self.filled * 2, 0);
        }
        match self.stream.read(&mut self.answer[self.filled..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.filled += read;
                Ok(())
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
