# A vote leaves only when it is durable.
members a b c
hold a
send a vote-request from b term 5 last 9 of 9 transfer
run
expect sent vote-response a>b 0
flush a
expect sent vote-response a>b 1
