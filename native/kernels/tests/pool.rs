use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use circuitscope_kernels::pool;

#[test]
fn each_task_runs_once_at_any_thread_count() {
    for threads in [0, 1, 2, 3, 7, 1000] {
        for tasks in [0, 1, 2, 5, 300] {
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            pool::run(threads, tasks, &|task| {
                counts[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads} threads, {tasks} tasks");
        }
    }
}

#[test]
fn nested_calls_run_inline() {
    let total = AtomicUsize::new(0);
    pool::run(3, 6, &|_| {
        let outside = std::thread::current().id();
        pool::run(3, 5, &|_| {
            assert_eq!(std::thread::current().id(), outside);
            total.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(total.into_inner(), 30);
}

#[test]
fn a_panic_reaches_the_caller_once_and_the_pool_goes_on() {
    for threads in [1, 2, 5] {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool::run(threads, 50, &|task| assert!(task != 20, "task {task} gave up"));
        }));
        let payload = caught.unwrap_err();
        assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some("task 20 gave up"));
        let done = AtomicUsize::new(0);
        pool::run(threads, 50, &|_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 50);
    }
}

#[test]
fn every_task_can_panic_at_once() {
    for _ in 0..20 {
        let caught = catch_unwind(AssertUnwindSafe(|| pool::run(4, 40, &|_| panic!("all"))));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"all"));
    }
}

#[test]
fn concurrent_callers_each_get_their_own_tasks_done() {
    std::thread::scope(|scope| {
        for caller in 0..6 {
            scope.spawn(move || {
                for round in 0..300 {
                    let sum = AtomicUsize::new(0);
                    let tasks = 1 + (caller + round) % 9;
                    pool::run(1 + round % 4, tasks, &|task| {
                        sum.fetch_add(task + 1, Ordering::Relaxed);
                    });
                    assert_eq!(sum.into_inner(), tasks * (tasks + 1) / 2);
                }
            });
        }
    });
}

#[test]
fn parked_workers_wake_for_new_work() {
    for _ in 0..5 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        let done = AtomicUsize::new(0);
        pool::run(4, 64, &|_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 64);
    }
}

#[test]
fn two_tasks_run_at_the_same_time() {
    // Another test of this process may hold the pool, which makes a call run inline: hence several attempts.
    let met = (0..100).any(|_| {
        let (arrived, met) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pool::run(2, 2, &|_| {
            arrived.fetch_add(1, Ordering::SeqCst);
            let start = std::time::Instant::now();
            while start.elapsed().as_millis() < 200 {
                if arrived.load(Ordering::SeqCst) == 2 {
                    met.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                std::thread::yield_now();
            }
        });
        met.into_inner() == 2
    });
    assert!(met);
}
