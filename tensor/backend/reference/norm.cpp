// Group norm and softmax as their formulas read, with every intermediate value in f64.
#include <cmath>
#include <limits>

#include "tensor/backend/backend.h"
#include "tensor/parallel.h"

namespace sfumato::reference {
namespace {

// How a tensor (N, C, ...) falls into groups; all counts in elements.
struct Grouping {
  int64_t samples, channels, groups, group_channels, plane;

  Grouping(const Tensor& x, const GroupNormOptions& o)
      : samples(x.size(0)), channels(x.size(1)), groups(o.num_groups), group_channels(channels / groups), plane(1) {
    for (int d = 2; d < x.dim(); ++d) {
      plane *= x.shape()[d];
    }
  }
  int64_t count() const { return samples * groups; }
  int64_t size() const { return group_channels * plane; }
  // Groups that are worth a thread of their own.
  int64_t grain() const { return std::max<int64_t>(1, 1024 / std::max<int64_t>(size(), 1)); }
  // Of element i of group g.
  int64_t channel(int64_t g, int64_t i) const { return g % groups * group_channels + i / plane; }
};

template <class T>
double value_or(const Tensor& tensor, int64_t i, double otherwise) {
  return tensor.defined() ? static_cast<double>(tensor.data<T>()[i]) : otherwise;
}

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

}  // namespace

void group_norm(const Tensor& x,
                const Tensor& weight,
                const Tensor& bias,
                const GroupNormOptions& o,
                Tensor& out,
                Tensor& mean,
                Tensor& rstd) {
  dispatch<kReals>("group_norm", x.dtype(), [&]<class T>() {
    const Grouping at(x, o);
    const T* in = x.data<T>();
    T* to = out.mutable_data<T>();
    T* means = mean.mutable_data<T>();
    T* rstds = rstd.mutable_data<T>();
    const auto size = static_cast<double>(std::max<int64_t>(at.size(), 1));
    parallel_for(at.count(), at.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        const T* group = in + g * at.size();
        double sum = 0;
        for (int64_t i = 0; i < at.size(); ++i) {
          sum += group[i];
        }
        const double m = sum / size;
        double squares = 0;
        for (int64_t i = 0; i < at.size(); ++i) {
          squares += (group[i] - m) * (group[i] - m);
        }
        const double r = 1 / std::sqrt(squares / size + o.eps);
        means[g] = static_cast<T>(m);
        rstds[g] = static_cast<T>(r);
        for (int64_t i = 0; i < at.size(); ++i) {
          const int64_t c = at.channel(g, i);
          const double z = (group[i] - m) * r * value_or<T>(weight, c, 1) + value_or<T>(bias, c, 0);
          to[g * at.size() + i] = static_cast<T>(o.silu ? z * sigmoid(z) : z);
        }
      }
    });
  });
}

void group_norm_backward(const Tensor& dy,
                         const Tensor& x,
                         const Tensor& mean,
                         const Tensor& rstd,
                         const Tensor& weight,
                         const Tensor& bias,
                         const GroupNormOptions& o,
                         Tensor& dx,
                         Tensor& dweight,
                         Tensor& dbias) {
  dispatch<kReals>("group_norm_backward", x.dtype(), [&]<class T>() {
    const Grouping at(x, o);
    // Element i of group g: its normalised value, and its gradient before the SiLU.
    const auto normal = [&](int64_t g, int64_t i) {
      return (x.data<T>()[g * at.size() + i] - static_cast<double>(mean.data<T>()[g])) * rstd.data<T>()[g];
    };
    const auto gradient = [&](int64_t g, int64_t i) {
      const auto incoming = static_cast<double>(dy.data<T>()[g * at.size() + i]);
      if (!o.silu) {
        return incoming;
      }
      const int64_t c = at.channel(g, i);
      const double z = normal(g, i) * value_or<T>(weight, c, 1) + value_or<T>(bias, c, 0);
      return incoming * sigmoid(z) * (1 + z * (1 - sigmoid(z)));
    };
    T* to = dx.mutable_data<T>();
    parallel_for(at.count(), at.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        double sum = 0;
        double sum_normal = 0;
        for (int64_t i = 0; i < at.size(); ++i) {
          const double d = gradient(g, i) * value_or<T>(weight, at.channel(g, i), 1);
          sum += d;
          sum_normal += d * normal(g, i);
        }
        const auto size = static_cast<double>(at.size());
        for (int64_t i = 0; i < at.size(); ++i) {
          const double d = gradient(g, i) * value_or<T>(weight, at.channel(g, i), 1);
          to[g * at.size() + i] =
              static_cast<T>(rstd.data<T>()[g] * (d - sum / size - normal(g, i) * (sum_normal / size)));
        }
      }
    });
    T* weights = dweight.defined() ? dweight.mutable_data<T>() : nullptr;
    T* biases = dbias.defined() ? dbias.mutable_data<T>() : nullptr;
    parallel_for(at.channels, std::max<int64_t>(1, 1024 / std::max<int64_t>(at.samples * at.plane, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t c = begin; c < end; ++c) {
                     double sum = 0;
                     double sum_normal = 0;
                     for (int64_t n = 0; n < at.samples; ++n) {
                       const int64_t g = n * at.groups + c / at.group_channels;
                       for (int64_t i = c % at.group_channels * at.plane; i < (c % at.group_channels + 1) * at.plane;
                            ++i) {
                         sum += gradient(g, i);
                         sum_normal += gradient(g, i) * normal(g, i);
                       }
                     }
                     if (weights != nullptr) {
                       weights[c] = static_cast<T>(sum_normal);
                     }
                     if (biases != nullptr) {
                       biases[c] = static_cast<T>(sum);
                     }
                   }
                 });
  });
}

void softmax(const Tensor& x, Tensor& out) {
  dispatch<kReals>("softmax", x.dtype(), [&]<class T>() {
    const int64_t n = std::max<int64_t>(x.size(-1), 1);
    const T* in = x.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(x.numel() / n, std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* from = in + row * n;
        double top = -std::numeric_limits<double>::infinity();
        for (int64_t i = 0; i < n; ++i) {
          top = std::max(top, static_cast<double>(from[i]));
        }
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) {
          sum += std::exp(from[i] - top);
        }
        for (int64_t i = 0; i < n; ++i) {
          to[row * n + i] = static_cast<T>(std::exp(from[i] - top) / sum);
        }
      }
    });
  });
}

void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx) {
  dispatch<kReals>("softmax_backward", y.dtype(), [&]<class T>() {
    const int64_t n = std::max<int64_t>(y.size(-1), 1);
    const T* result = y.data<T>();
    const T* gradient = dy.data<T>();
    T* to = dx.mutable_data<T>();
    parallel_for(y.numel() / n, std::max<int64_t>(1, 4096 / n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        double dot = 0;
        for (int64_t i = row * n; i < (row + 1) * n; ++i) {
          dot += static_cast<double>(result[i]) * gradient[i];
        }
        for (int64_t i = row * n; i < (row + 1) * n; ++i) {
          to[i] = static_cast<T>(result[i] * (gradient[i] - dot));
        }
      }
    });
  });
}

}  // namespace sfumato::reference
