# A term has at most one leader: a member gives one vote a term (Raft paper 5.2).
members a b c
term a 4
send a vote-request from b term 5 last 9 of 9 transfer
send a vote-request from c term 5 last 9 of 9 transfer
run
expect sent vote-response a>b 1
elect b
expect b leader
expect c follower
