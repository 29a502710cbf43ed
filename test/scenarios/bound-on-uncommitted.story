# More than a bound of uncommitted bytes is refused, not queued.
members a b c
limit uncommittedBytesMax 100
elect a
run
cut b
cut c
propose a 0123456789012345678901234567890123456789
propose a 0123456789012345678901234567890123456789 refused too-much-uncommitted
