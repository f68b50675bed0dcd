//! `cargo bench --bench peak [-- avx512]`: one JSON line per figure. The FMA loop is the measured peak that a product is held
//! against; best and median stand side by side, because a shared machine makes either alone misleading.

use std::hint::black_box;
use std::time::Instant;

use circuitscope_kernels::bmm::{Batch, BatchMut, Sizes, Zeros, bmm};
use circuitscope_kernels::gemm::{Context, Rows, RowsMut, matmul};
use circuitscope_kernels::half::Dtype;
use circuitscope_kernels::isa::Isa;
use circuitscope_kernels::machine;
use circuitscope_kernels::pack::{MatrixSource, PackedMatrix};
use circuitscope_kernels::pool;

/// Gigaflops of the loop of multiply-adds on so many threads together, where there is one for this instruction set.
fn peak(isa: Isa, threads: usize) -> Option<f64> {
    let found = machine::fma(isa, threads, 20, &|| false)?;
    let mut rates: Vec<f64> = found.ns.iter().map(|ns| found.work / ns).collect();
    rates.sort_by(|a, b| b.total_cmp(a));
    let (best, median) = (*rates.first()?, rates[rates.len() / 2]);
    println!(
        r#"{{"kind":"fma peak","isa":"{}","threads":{threads},"unit":"GF/s","best":{best:.1},"median":{median:.1}}}"#,
        isa.name()
    );
    Some(best)
}

/// [best, median] of `samples` runs after two to warm up.
fn seconds(samples: usize, mut run: impl FnMut()) -> [f64; 2] {
    run();
    run();
    let mut times: Vec<f64> = (0..samples)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    [times[0], times[samples / 2]]
}

/// What a line is about; `work` is in operations or bytes, as `unit` says.
struct Figure<'a> {
    what: &'a str,
    shape: &'a str,
    dtype: &'a str,
    unit: &'a str,
    work: f64,
}

fn line(isa: Isa, threads: usize, figure: Figure<'_>, time: [f64; 2], peak: Option<f64>) {
    let Figure { what, shape, dtype, unit, work } = figure;
    let [best, median] = time.map(|time| work / time / 1e9);
    let share = peak.map_or(String::new(), |peak| {
        format!(r#","shareOfPeakBest":{:.3},"shareOfPeakMedian":{:.3}"#, best / peak, median / peak)
    });
    println!(
        r#"{{"kind":"{what}","isa":"{}","threads":{threads},"shape":"{shape}","dtype":"{dtype}","unit":"{unit}","best":{best:.1},"median":{median:.1}{share}}}"#,
        isa.name()
    );
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5).collect()
}

fn pack(isa: Isa, w: &[f32], dtype: Dtype, k: usize, n: usize) -> PackedMatrix {
    let bytes: Vec<u8> = match dtype {
        Dtype::F32 => w.iter().flat_map(|x| x.to_le_bytes()).collect(),
        // Half of these patterns would be huge as f16: the sign and low exponents are kept.
        _ => w.iter().flat_map(|x| ((x.to_bits() >> 16) as u16 & 0xbbff).to_le_bytes()).collect(),
    };
    PackedMatrix::pack(isa, MatrixSource { bytes: &bytes, dtype, offset: 0, k, n, sk: n, sn: 1 }).unwrap()
}

fn gemm(isa: Isa, threads: usize, [m, k, n]: [usize; 3], dtype: Dtype, samples: usize, peak: Option<f64>) {
    let (a, packed, mut c) = (numbers(m * k), pack(isa, &numbers(k * n), dtype, k, n), vec![0.0; m * n]);
    let ctx = Context { isa, threads, cancel: None };
    let time = seconds(samples, || {
        let (a, c) = (Rows { data: &a, rows: m, step: k }, RowsMut { data: &mut c, rows: m, step: n });
        matmul(&ctx, a, &packed, None, c).unwrap();
    });
    black_box(&c);
    let (shape, dtype) = (format!("{m}x{k}x{n}"), format!("{dtype:?}").to_lowercase());
    line(
        isa,
        threads,
        Figure { what: "matmul", shape: &shape, dtype: &dtype, unit: "GF/s", work: 2.0 * (m * k * n) as f64 },
        time,
        peak,
    );
    if m == 1 {
        line(
            isa,
            threads,
            Figure { what: "matmul", shape: &shape, dtype: &dtype, unit: "GB/s", work: packed.bytes() as f64 },
            time,
            None,
        );
    }
}

fn heads(isa: Isa, threads: usize, peak: Option<f64>) {
    let (batch, sizes) = ([1, 12], Sizes { m: 512, n: 512, k: 64 });
    let (q, k) = (numbers(512 * 12 * 64), numbers(512 * 12 * 64));
    let mut scores = vec![0.0; 12 * 512 * 512];
    let ctx = Context { isa, threads, cancel: None };
    let time = seconds(20, || {
        let q = Batch { data: &q, batch: [0, 64], share: 1, row: 768, column: 1 };
        let k = Batch { data: &k, batch: [0, 64], share: 1, row: 1, column: 768 };
        let out = BatchMut { data: &mut scores, batch: [0, 512 * 512], row: 512 };
        bmm(&ctx, batch, sizes, q, k, out, Zeros::Multiply).unwrap();
    });
    line(
        isa,
        threads,
        Figure {
            what: "bmm",
            shape: "12x(512x64x512)",
            dtype: "f32",
            unit: "GF/s",
            work: 2.0 * 12.0 * 512.0 * 512.0 * 64.0,
        },
        time,
        peak,
    );
    let mut z = vec![0.0; 512 * 768];
    for (zeros, causal) in [(Zeros::Multiply, false), (Zeros::Skip, false), (Zeros::Skip, true)] {
        if causal {
            for (_, x) in scores.iter_mut().enumerate().filter(|(index, _)| index % 512 > index / 512 % 512) {
                *x = 0.0;
            }
        }
        let pattern = &scores;
        let time = seconds(20, || {
            let p = Batch { data: pattern, batch: [0, 512 * 512], share: 1, row: 512, column: 1 };
            let v = Batch { data: &k, batch: [0, 64], share: 1, row: 768, column: 1 };
            let out = BatchMut { data: &mut z, batch: [0, 64], row: 768 };
            bmm(&ctx, batch, Sizes { m: 512, n: 64, k: 512 }, p, v, out, zeros).unwrap();
        });
        // The causal row counts the products that are skipped too: what matters is the time.
        let what = format!("bmm {zeros:?} zeros{}", if causal { " causal" } else { "" }).to_lowercase();
        line(
            isa,
            threads,
            Figure {
                what: &what,
                shape: "12x(512x512x64)",
                dtype: "f32",
                unit: "GF/s",
                work: 2.0 * 12.0 * 512.0 * 512.0 * 64.0,
            },
            time,
            peak,
        );
    }
}

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for isa in Isa::available().into_iter().filter(|isa| filter.as_ref().is_none_or(|name| name == isa.name())) {
        if isa == Isa::Portable {
            gemm(isa, 1, [128, 128, 128], Dtype::F32, 5, None);
            continue;
        }
        for threads in [1, 2] {
            let peak = peak(isa, threads);
            gemm(isa, threads, [1024, 1024, 1024], Dtype::F32, 20, peak);
            gemm(isa, threads, [1024, 1024, 1024], Dtype::Bf16, 10, peak);
            gemm(isa, threads, [64, 768, 3072], Dtype::F32, 20, peak);
            gemm(isa, threads, [512, 768, 64], Dtype::F32, 20, peak);
            gemm(isa, threads, [512, 3072, 768], Dtype::F32, 20, peak);
            for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
                gemm(isa, threads, [1, 768, 24576], dtype, 20, None);
            }
            gemm(isa, threads, [1, 768, 768], Dtype::F32, 200, None);
            heads(isa, threads, peak);
        }
    }
    if filter.is_some() {
        return;
    }
    let isa = *Isa::available().last().unwrap();
    println!(r#"{{"kind":"pool","unit":"us","median":{:.2}}}"#, {
        let [_, median] = seconds(2000, || {
            pool::run(2, 2, &|task| {
                black_box(task);
            })
        });
        median * 1e6
    });
    let (w, mut packed) = (numbers(768 * 24576), None);
    let bytes: Vec<u8> = w.iter().flat_map(|x| x.to_le_bytes()).collect();
    for (layout, sk, sn) in [("row major", 24576, 1), ("transposed", 1, 768)] {
        let time = seconds(5, || {
            let source = MatrixSource { bytes: &bytes, dtype: Dtype::F32, offset: 0, k: 768, n: 24576, sk, sn };
            packed = Some(PackedMatrix::pack(isa, source).unwrap());
        });
        line(
            isa,
            1,
            Figure {
                what: &format!("pack {layout}"),
                shape: "768x24576",
                dtype: "f32",
                unit: "GB/s",
                work: bytes.len() as f64,
            },
            time,
            None,
        );
    }
}
