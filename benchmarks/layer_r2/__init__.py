"""Parts of the benchmark `benchmarks/layer_r2.py`: which file does what.

`problem` makes the data, `competitors` are the other ways to compute the matrix, `estimates` turn timed units
into the time of the whole job, `worker` measures one method, `running` starts it in a process of its own and
puts the answers side by side, `machine` knows what the hardware can do and what the algorithm asks of it,
`report` and `plots` say it, `scaling` varies the size.
"""
