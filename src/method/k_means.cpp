#include "k_means.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "baton/base/error.hpp"
#include "baton/base/seed.hpp"

namespace baton::method {

namespace {

constexpr int kMaxIterations = 100;

double squared_distance(const Features& row, const Centre& centre) {
  double sum = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double difference = row[i] - centre[i];
    sum += difference * difference;
  }
  return sum;
}

// Whether any row changed its cluster.
bool assign(std::span<const Features> rows, Clusters& clusters) {
  bool changed = false;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    std::size_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t centre = 0; centre < clusters.centres.size(); ++centre) {
      const double distance = squared_distance(rows[row], clusters.centres[centre]);
      if (distance < least) {
        least = distance;
        best = centre;
      }
    }
    changed = changed || clusters.cluster_of[row] != best;
    clusters.cluster_of[row] = best;
    clusters.distances[row] = least;
  }
  return changed;
}

void move_centres(std::span<const Features> rows, Clusters& clusters) {
  for (std::size_t centre = 0; centre < clusters.centres.size(); ++centre) {
    Centre sum(rows.front().size(), 0.0);
    double count = 0;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      if (clusters.cluster_of[row] == centre) {
        std::transform(sum.begin(), sum.end(), rows[row].begin(), sum.begin(), std::plus<>());
        count += 1;
      }
    }
    if (count > 0) {
      for (double& value : sum) {
        value /= count;
      }
      clusters.centres[centre] = std::move(sum);
    }
  }
}

// By largest remainders: they sum to `count`, and none is above its size.
std::vector<std::size_t> shares_of(const std::vector<std::size_t>& sizes, std::size_t count) {
  const std::size_t total = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  std::vector<std::size_t> shares;
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (const std::size_t size : sizes) {
    shares.push_back(size * count / total);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return sizes[a] * count % total > sizes[b] * count % total;
  });
  const std::size_t left = count - std::accumulate(shares.begin(), shares.end(), std::size_t{0});
  for (std::size_t i = 0; i < left; ++i) {
    ++shares[order[i]];
  }
  return shares;
}

}  // namespace

std::vector<Centre> first_centres(std::span<const Features> rows,
                                  std::size_t count,
                                  std::uint64_t seed) {
  base::Random random(seed);
  std::vector<Centre> centres{rows[random.below(rows.size())]};
  std::vector<double> least(rows.size(), std::numeric_limits<double>::infinity());
  while (centres.size() < count) {
    double total = 0;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      least[row] = std::min(least[row], squared_distance(rows[row], centres.back()));
      total += least[row];
    }
    if (total <= 0) {
      break;  // every row is a centre already
    }
    const double drawn = random.uniform() * total;
    double passed = 0;
    std::size_t chosen = 0;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      if (least[row] > 0 && passed <= drawn) {
        chosen = row;  // rounding may leave the last one
      }
      passed += least[row];
    }
    centres.push_back(rows[chosen]);
  }
  return centres;
}

Clusters k_means(std::span<const Features> rows, std::vector<Centre> centres) {
  Clusters clusters{.centres = std::move(centres),
                    .cluster_of = std::vector<std::size_t>(rows.size(), rows.size()),
                    .distances = std::vector<double>(rows.size())};
  for (int i = 0; i < kMaxIterations && assign(rows, clusters); ++i) {
    move_centres(rows, clusters);
  }
  assign(rows, clusters);  // distances to where the centres are now
  return clusters;
}

std::vector<std::size_t> rows_near_centres(const Clusters& clusters, std::size_t count) {
  std::vector<std::vector<std::size_t>> members(clusters.centres.size());
  for (std::size_t row = 0; row < clusters.cluster_of.size(); ++row) {
    members[clusters.cluster_of[row]].push_back(row);
  }
  std::vector<std::size_t> sizes;
  for (const auto& rows : members) {
    sizes.push_back(rows.size());
  }
  BATON_ASSERT(count <= clusters.cluster_of.size(), "more rows asked for than there are");
  const std::vector<std::size_t> shares = shares_of(sizes, count);
  std::vector<std::size_t> chosen;
  for (std::size_t cluster = 0; cluster < members.size(); ++cluster) {
    std::vector<std::size_t>& rows = members[cluster];
    std::stable_sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) {
      return clusters.distances[a] < clusters.distances[b];
    });
    chosen.insert(chosen.end(), rows.begin(),
                  rows.begin() + static_cast<std::ptrdiff_t>(shares[cluster]));
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace baton::method
