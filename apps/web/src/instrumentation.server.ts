// Runs before the server listens: without a HOST the adapter would take every network interface.
process.env.HOST ??= '127.0.0.1';
