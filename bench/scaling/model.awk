# The model of a step on p hosts. Variables (-v): alpha beta kappa (the network), compute sigma (a step of one rank alone and
# its standard deviation), leaves (micro-batches of a rank), bytes (of all gradients), bucket (bytes), from to (numbers of
# ranks), error (relative, for the error bars). Prints: p, seconds, seconds hidden and exposed, efficiency, its error bar.
#
#   T(n) = 2 log2(p) alpha + 2 (p - 1) / p n beta             an exchange of n bytes (nn/distributed/tree_exchange.h)
#   end_i = max(ready_i, end_{i-1}) + T(n_i)                  buckets wait for their gradients and for each other
#   step = compute + kappa 2 (p - 1) / p n + exposed + sigma sqrt(2 ln p)
#
# Buckets become ready evenly over the last micro-batch's backward pass, two thirds of its time. kappa: seconds of
# processor per byte, which nobody else can use while all cores compute. The last term is the expected maximum of p
# step times: all wait for the slowest.
function log2(x) { return log(x) / log(2) }
BEGIN {
  window = compute / leaves * 2 / 3
  count = int((bytes + bucket - 1) / bucket)
  for (p = from; p <= to; p *= 2) {
    share = 2 * (p - 1) / p
    end = 0
    for (i = 1; i <= count; ++i) {
      n = i < count ? bucket : bytes - bucket * (count - 1)
      ready = window * i / count
      end = (end > ready ? end : ready) + 2 * log2(p) * alpha + share * n * beta
    }
    exposed = end - window + 2 * log2(p) * alpha # and two small exchanges: losses, and whether to stop
    step = compute + kappa * share * bytes + exposed + sigma * sqrt(2 * log(p))
    printf "%d %.4f %.4f %.4f %.3f %.3f\n", p, step, count * 2 * log2(p) * alpha + share * bytes * beta - exposed, exposed, compute / step, error * compute / step
  }
}
