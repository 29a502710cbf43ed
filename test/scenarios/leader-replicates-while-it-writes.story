# A leader's appends leave while its own flush runs; its own copy counts when it is durable (dissertation 10.2.1).
members a b c
elect a
run
hold a
propose a x
run
expect a applied
flush a
run
expect a applied x
