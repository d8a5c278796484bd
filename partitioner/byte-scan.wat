;; Finds every occurrence of one byte, 16 bytes at a time. Assembled into byte-scan.ts; its test holds the two together.
;; Memory: data from 0, then room for starts and ends as 32-bit numbers; 15 bytes behind the data may be read.
(module
  (import "quern" "memory" (memory 1))
  ;; starts[0] = 0; for occurrence n at p: ends[n] = p, starts[n + 1] = p + 1. Gives the number of occurrences.
  (func (export "scan") (param $length i32) (param $byte i32) (param $starts i32) (param $ends i32) (result i32)
    (local $at i32) (local $hits i32) (local $found i32) (local $count i32) (local $needle v128)
    (local.set $needle (i8x16.splat (local.get $byte)))
    (i32.store (local.get $starts) (i32.const 0))
    (block $done
      (loop $vectors
        (br_if $done (i32.ge_u (local.get $at) (local.get $length)))
        (local.set $hits (i8x16.bitmask (i8x16.eq (v128.load (local.get $at)) (local.get $needle))))
        (block $next
          (loop $each
            (br_if $next (i32.eqz (local.get $hits)))
            (local.set $found (i32.add (local.get $at) (i32.ctz (local.get $hits))))
            (br_if $done (i32.ge_u (local.get $found) (local.get $length)))
            (i32.store (local.get $ends) (local.get $found))
            (i32.store offset=4 (local.get $starts) (i32.add (local.get $found) (i32.const 1)))
            (local.set $ends (i32.add (local.get $ends) (i32.const 4)))
            (local.set $starts (i32.add (local.get $starts) (i32.const 4)))
            (local.set $count (i32.add (local.get $count) (i32.const 1)))
            (local.set $hits (i32.and (local.get $hits) (i32.sub (local.get $hits) (i32.const 1))))
            (br $each)))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $vectors)))
    (local.get $count)))
