//! Matrix products of public crates, on request: a line of JSON comes in, a line of JSON goes out, as `kernels.py` says.

mod data;
mod product;

use std::io::{BufRead, Write};
use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use product::{Product, version};
use serde_json::{Value, json};

struct Worker {
    library: String,
    threads: usize,
    product: Option<Product>,
    /// Walked over before each run where caches are to be cold.
    cold: Vec<u8>,
}

impl Worker {
    fn answer(&mut self, asked: &Value) -> Result<Value, String> {
        match asked["kind"].as_str() {
            Some("hello") => {
                let found = version(&self.library).ok_or_else(|| format!("there is no {}", self.library))?;
                let built = if cfg!(target_feature = "avx512f") {
                    "for this machine, with AVX-512"
                } else if cfg!(target_feature = "avx2") {
                    "for this machine, with AVX2"
                } else {
                    "without wide vectors; build it in its own folder"
                };
                Ok(json!({ "version": found, "settings": { "threads": self.threads.to_string(), "built": built } }))
            }
            Some("prepare") => {
                let size = |name: &str| asked["sizes"][name].as_u64().map(|size| size as usize);
                let sizes = (asked["family"] == "matmul" && asked["dtype"] == "f32")
                    .then(|| Some([size("m")?, size("k")?, size("n")?]))
                    .flatten();
                self.product = sizes.and_then(|sizes| Product::new(&self.library, self.threads, sizes));
                let Some(product) = &mut self.product else { return Ok(json!({ "prepared": false })) };
                product.run();
                Ok(json!({ "prepared": true, "settings": { "call": product.call() } }))
            }
            Some("block") => {
                let count = |name: &str| asked[name].as_u64().unwrap_or(0);
                self.cold.resize(count("coldBytes") as usize, 0);
                let product = self.product.as_mut().ok_or("nothing is prepared")?;
                for _ in 0..count("warmUp") {
                    product.run();
                }
                let ns: Vec<u64> = (0..count("samples"))
                    .map(|_| {
                        walk(&mut self.cold, self.threads);
                        let start = Instant::now();
                        product.run();
                        start.elapsed().as_nanos() as u64
                    })
                    .collect();
                Ok(json!({ "ns": ns }))
            }
            Some("rows") => {
                let product = self.product.as_ref().ok_or("nothing is prepared")?;
                let rows = asked["rows"].as_array().ok_or("no rows are named")?;
                let values: Vec<String> = rows
                    .iter()
                    .map(|row| {
                        let entries = product.row(row.as_u64().unwrap_or(0) as usize);
                        BASE64_STANDARD.encode(entries.iter().flat_map(|entry| entry.to_le_bytes()).collect::<Vec<_>>())
                    })
                    .collect();
                Ok(json!({ "values": values }))
            }
            _ => Err(format!("no such question: {}", asked["kind"])),
        }
    }
}

/// Writes every line of the array, each thread a part, so that nothing of before stays in any cache.
fn walk(bytes: &mut [u8], threads: usize) {
    if bytes.is_empty() {
        return;
    }
    let part = bytes.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for part in bytes.chunks_mut(part) {
            scope.spawn(move || {
                for byte in part.iter_mut().step_by(64) {
                    *byte = std::hint::black_box(byte.wrapping_add(1));
                }
            });
        }
    });
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let [_, library, threads] = &words[..] else {
        eprintln!("peer-crates LIBRARY THREADS: started by circuitscope bench kernels --peers");
        std::process::exit(1);
    };
    let threads = threads.parse().unwrap_or(1);
    let mut worker = Worker { library: library.clone(), threads, product: None, cold: Vec::new() };
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let answer = serde_json::from_str::<Value>(&line)
            .map_err(|error| error.to_string())
            .and_then(|asked| worker.answer(&asked))
            .unwrap_or_else(|error| json!({ "error": error }));
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}
