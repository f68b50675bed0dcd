/// Entries as `packages/core/src/bench/data.ts` makes them: functions of index and stream, so that none need be sent.
pub fn data(length: usize, stream: u32) -> Vec<f32> {
    (0..length as u32)
        .map(|at| {
            let mut h = at.wrapping_add(stream.wrapping_mul(0x9e37_79b9));
            h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
            h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
            h ^= h >> 16;
            ((h >> 8) as f64 / 8_388_608.0 - 1.0) as f32
        })
        .collect()
}

#[cfg(test)]
#[test]
fn entries_are_those_of_the_other_programs() {
    assert_eq!(data(3, 1), [0.146_795_15, 0.176_787_5, 0.408_267_38]);
}
