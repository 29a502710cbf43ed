# An entry of an earlier term is committed only along with one of the leader's own (5.4.2, figure 8).
members a b c
log a 2
log b 2
term a 2
cut c
hold a
hold b
send a timeout-now from b term 2
round
flush a
round
flush b
run
expect a leader
expect a commit 3
expect a log 2 3
