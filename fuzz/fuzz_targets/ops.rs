#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| turnleaf_tests::fuzz::ops::run(input));
