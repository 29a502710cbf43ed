# Nothing is vouched for before it is durable: what a crash loses was never counted.
members a b c
elect a
run
cut c
hold b
propose a x
run
expect a applied
crash b
restart b
expect b applied
tick a 2
run
tick a 2
run
expect a applied x
