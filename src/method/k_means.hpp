#pragma once
// k-means over features of rows, for buffers that stand for all kinds of rows a task has. Plain
// arithmetic in double, one row after the other: the same bits whatever the number of ranks or
// threads. Ties go to the lower index.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace baton::method {

using Features = std::vector<double>;
using Centre = std::vector<double>;

struct Clusters {
  std::vector<Centre> centres;
  std::vector<std::size_t> cluster_of;  // of each row
  std::vector<double> distances;        // of each row to its centre, squared
};

/// k-means++ (Arthur and Vassilvitskii, 2007): the first centre is a row drawn uniformly, each
/// further one a row drawn by its squared distance to the nearest centre so far. Fewer than `count`
/// where the rows have fewer different features. At least one row.
std::vector<Centre> first_centres(std::span<const Features> rows,
                                  std::size_t count,
                                  std::uint64_t seed);

/// Lloyd's iterations until no row changes its cluster, at most 100. A cluster that loses all rows
/// keeps its centre.
Clusters k_means(std::span<const Features> rows, std::vector<Centre> centres);

/// `count` rows in ascending order: of each cluster a share by its size (largest remainders), those
/// nearest to its centre.
std::vector<std::size_t> rows_near_centres(const Clusters& clusters, std::size_t count);

}  // namespace baton::method
