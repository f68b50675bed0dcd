mod support;

use circuitscope_kernels::ops::*;
use support::*;

/// [channels, H, W] before, [channels] after, window, stride, padding, dilation, groups.
type Case = ([usize; 3], usize, [usize; 2], [usize; 2], [usize; 2], [usize; 2], usize);

const CASES: [Case; 9] = [
    ([1, 1, 1], 1, [1, 1], [1, 1], [0, 0], [1, 1], 1),
    ([3, 7, 8], 4, [3, 3], [1, 1], [0, 0], [1, 1], 1),
    ([4, 8, 7], 6, [3, 3], [2, 2], [1, 1], [1, 1], 2),
    ([4, 7, 6], 4, [3, 3], [1, 1], [2, 2], [2, 2], 1),
    ([4, 9, 8], 8, [3, 3], [2, 2], [3, 2], [2, 2], 4),
    ([2, 11, 9], 3, [5, 5], [3, 2], [2, 2], [1, 1], 1),
    ([2, 8, 9], 2, [2, 4], [1, 3], [1, 2], [3, 1], 2),
    // More than one tile of lines, and more than one block of channels.
    ([40, 33, 34], 17, [3, 3], [1, 1], [1, 1], [1, 1], 1),
    ([2, 2, 2], 3, [3, 3], [1, 1], [0, 0], [1, 1], 1),
];

fn sizes(([channels, height, width], after, window, stride, padding, dilation, groups): Case) -> Convolution {
    let axis = |at: usize, size| {
        Axis::new(size, window[at], [stride[at], padding[at], padding[at], dilation[at]], false).unwrap()
    };
    let plane = Plane { down: axis(0, height), across: axis(1, width) };
    Convolution { plane, groups, before: channels / groups, after: after / groups }
}

/// What lies under entry (i, j) of the window at a place, 0 in the padding; and where.
fn under(plane: Plane, x: &[f32], place: usize, tap: usize) -> (f32, Option<usize>) {
    let Plane { down, across } = plane;
    let y = (place / across.out * down.stride + tap / across.window * down.dilation) as isize - down.padding as isize;
    let c =
        (place % across.out * across.stride + tap % across.window * across.dilation) as isize - across.padding as isize;
    let inside = (0..down.size as isize).contains(&y) && (0..across.size as isize).contains(&c);
    let at = inside.then(|| y as usize * across.size + c as usize);
    (at.map_or(0.0, |at| x[at]), at)
}

#[test]
fn a_convolution_and_its_ways_back_are_their_chains_on_every_path() {
    let mut random = Random(7);
    for case in CASES {
        for rows in [0, 1, 3] {
            let size = sizes(case);
            let Convolution { plane, groups, before, after } = size;
            let (places, taps, terms) = (plane.places(), plane.taps(), size.terms());
            let x = random.floats(rows * groups * before * plane.before());
            let ct = random.floats(rows * groups * after * places);
            let w = random.floats(groups * after * terms);
            let bias = random.floats(groups * after);
            let map = |at: usize| &x[at * plane.before()..(at + 1) * plane.before()];

            let mut wish = Vec::new();
            let mut back = vec![0.0f32; x.len()];
            let mut weight = vec![0.0f32; w.len()];
            for row in 0..rows {
                for o in 0..groups * after {
                    let first = row * groups * before + o / after * before;
                    for place in 0..places {
                        let sum = (0..terms).fold(0.0f32, |sum, t| {
                            w[o * terms + t].mul_add(under(plane, map(first + t / taps), place, t % taps).0, sum)
                        });
                        wish.push(sum + bias[o]);
                    }
                    for t in 0..terms {
                        for place in 0..places {
                            let ct = ct[(row * groups * after + o) * places + place];
                            let value = under(plane, map(first + t / taps), place, t % taps).0;
                            weight[o * terms + t] = ct.mul_add(value, weight[o * terms + t]);
                        }
                    }
                }
                for channel in 0..groups * before {
                    let group = channel / before;
                    for tap in 0..taps {
                        for place in 0..places {
                            let map = row * groups * before + channel;
                            let Some(at) = under(plane, self::map(&x, map, plane), place, tap).1 else { continue };
                            let sum = (group * after..(group + 1) * after).fold(0.0f32, |sum, o| {
                                let t = channel % before * taps + tap;
                                w[o * terms + t].mul_add(ct[(row * groups * after + o) * places + place], sum)
                            });
                            back[map * plane.before() + at] += sum;
                        }
                    }
                }
            }
            let got = agree(|ctx| filled(wish.len(), |out| conv2d(ctx, size, &x, &w, Some(&bias), out).unwrap()));
            assert!(same_bits(&got, &wish), "{case:?} of {rows} rows is not the chain");
            let got = agree(|ctx| filled(x.len(), |out| conv2d_grad_input(ctx, size, &ct, &w, out).unwrap()));
            assert!(same_bits(&got, &back), "the input's cotangent of {case:?}, {rows} rows");
            let got = agree(|ctx| filled(w.len(), |out| conv2d_grad_weight(ctx, size, 1, &x, &ct, out).unwrap()));
            assert!(same_bits(&got, &weight), "the weight's gradient of {case:?}, {rows} rows");
        }
    }
}

fn map(x: &[f32], at: usize, plane: Plane) -> &[f32] {
    &x[at * plane.before()..(at + 1) * plane.before()]
}

#[test]
fn a_weight_gradient_in_groups_is_that_of_each_group_alone() {
    let mut random = Random(8);
    let size = sizes(CASES[1]);
    let (image, after) = (3 * 7 * 8, 4 * size.plane.places());
    let (x, ct) = (random.floats(2 * image), random.floats(6 * after));
    let got = agree(|ctx| filled(3 * 4 * 27, |out| conv2d_grad_weight(ctx, size, 3, &x, &ct, out).unwrap()));
    for group in 0..3 {
        let ct = &ct[group * 2 * after..(group + 1) * 2 * after];
        let alone = agree(|ctx| filled(4 * 27, |out| conv2d_grad_weight(ctx, size, 1, &x, ct, out).unwrap()));
        assert!(same_bits(&got[group * 4 * 27..(group + 1) * 4 * 27], &alone));
    }
}

#[test]
fn channels_and_pools_agree_on_every_path() {
    let mut random = Random(9);
    let (rows, channels, height, width) = (5, 7, 23, 25);
    let places = height * width;
    let x = random.floats(rows * channels * places);
    let ct = random.floats(x.len());
    let (w, b) = (random.floats(channels), random.floats(channels));
    let got = agree(|ctx| {
        filled(x.len(), |out| channel_affine(ctx, &x, [channels, places], Some(&w), Some(&b), out).unwrap())
    });
    let at = |i: usize| i / places % channels;
    let wish: Vec<f32> = x.iter().enumerate().map(|(i, x)| x.mul_add(w[at(i)], b[at(i)])).collect();
    assert!(same_bits(&got, &wish));
    let got = agree(|ctx| filled(channels, |out| channel_sum(ctx, &ct, Some(&x), [1, channels, places], out).unwrap()));
    let mut wish = vec![0.0f32; channels];
    for (i, (ct, x)) in ct.iter().zip(&x).enumerate() {
        wish[at(i)] = ct.mul_add(*x, wish[at(i)]);
    }
    assert!(same_bits(&got, &wish));
    let cases = [
        (2, 2, [0, 0], false),
        (3, 2, [1, 1], true),
        (3, 1, [1, 1], false),
        (2, 3, [1, 1], true),
        (3, 2, [0, 1], false),
        (4, 1, [2, 1], true),
    ];
    for (window, stride, [padding, behind], ceil) in cases {
        let axis = |size| Axis::new(size, window, [stride, padding, behind, 1], ceil).unwrap();
        let plane = Plane { down: axis(height), across: axis(width) };
        let len = rows * channels * plane.places();
        let ct = random.floats(len);
        let most = agree(|ctx| filled(len, |out| max_pool2d(ctx, plane, &x, out).unwrap()));
        let back = agree(|ctx| filled(x.len(), |out| max_pool2d_grad(ctx, plane, &x, &ct, out).unwrap()));
        let sent: f64 = ct.iter().map(|ct| f64::from(*ct)).sum();
        let arrived: f64 = back.iter().map(|ct| f64::from(*ct)).sum();
        assert!((sent - arrived).abs() < 1e-3, "{sent} went in, {arrived} came out");
        assert!(most.iter().all(|value| x.contains(value)));
        for count in [true, false] {
            let mean = agree(|ctx| filled(len, |out| avg_pool2d(ctx, plane, count, &x, out).unwrap()));
            assert!(mean.iter().zip(&most).all(|(mean, most)| mean.abs() <= 1.0 && (count || mean <= most)));
            agree(|ctx| filled(x.len(), |out| avg_pool2d_grad(ctx, plane, count, &ct, out).unwrap()));
        }
    }
}

#[test]
fn windows_that_overflow_are_refused_and_those_that_do_not_fit_have_no_place() {
    assert!(Axis::new(5, 3, [0, 0, 0, 1], false).is_err());
    assert!(Axis::new(5, usize::MAX, [1, 0, 0, 2], false).is_err());
    assert!(Axis::new(usize::MAX, 3, [1, 1, 1, 1], false).is_err());
    assert_eq!(Axis::new(2, 3, [1, 0, 0, 1], true).unwrap().out, 0);
}
