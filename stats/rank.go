package stats

import (
	"cmp"
	"math"
	"slices"
)

// SignedRank returns the two-sided p-value of Wilcoxon's signed-rank test of the
// hypothesis that paired differences are symmetric around zero. It is exact: the share
// of all 2^n choices of signs that are at least as extreme. Equal sizes get their mean
// rank. Zeros have no sign and are dropped; the result is 1 if all differences are
// zero. It is NaN if there are no differences or one is NaN. Infinities are the
// largest.
//
// The smallest possible value is 2/2^n: 0.0625 with 5 blocks, 0.03125 with 6. The work
// grows with the third power of n. Source: Wilcoxon, Biometrics Bulletin 1 (1945).
func SignedRank(differences []float64) float64 {
	if len(differences) == 0 || slices.ContainsFunc(differences, math.IsNaN) {
		return math.NaN()
	}
	var signed, size []float64
	for _, d := range differences {
		if d != 0 {
			signed, size = append(signed, d), append(size, math.Abs(d))
		}
	}
	ranks := doubledRanks(size)
	positive := 0
	for i, d := range signed {
		if d > 0 {
			positive += ranks[i]
		}
	}
	return twoSided(subsetSums(ranks), positive)
}

// RankSum returns the two-sided p-value of the rank-sum test of Mann, Whitney and
// Wilcoxon, of the hypothesis that two independent samples come from one distribution.
// It is exact, even with ties: of all ways to divide the values into two such samples,
// the share that is at least as extreme, as twice the smaller tail. It is NaN if a
// sample is empty or a value is NaN.
//
// The work grows with the fourth power of the number of values: it is for trials, not
// for requests. go-moremath's test gives other values for samples of unequal size with
// ties: it mirrors the statistic without mirroring the distribution.
func RankSum(x, y []float64) float64 {
	all := slices.Concat(x, y)
	if len(x) == 0 || len(y) == 0 || slices.ContainsFunc(all, math.IsNaN) {
		return math.NaN()
	}
	ranks := doubledRanks(all)
	observed := 0
	for _, r := range ranks[:len(x)] {
		observed += r
	}
	return twoSided(sumsOf(len(x), ranks), observed)
}

// tie is the largest difference, relative to their size, of two values that count as
// equal: the logarithms of equal ratios can differ by rounding.
const tie = 1e-12

// doubledRanks returns twice the rank of each value, from 1 on. Equal values get their
// mean rank. The ranks are doubled because a mean rank may end in a half.
func doubledRanks(x []float64) []int {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(x[a], x[b]) })
	ranks := make([]int, len(x))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && equal(x[order[from]], x[order[to]]) {
			to++
		}
		for _, i := range order[from:to] {
			ranks[i] = from + 1 + to
		}
		from = to
	}
	return ranks
}

func equal(a, b float64) bool {
	return a == b || !math.IsInf(a-b, 0) && math.Abs(a-b) <= tie*math.Abs(a)
}

// subsetSums returns the distribution of the sum of a random subset of the weights, to
// which each weight belongs with probability 1/2: the probability of each sum, from
// zero on.
func subsetSums(weights []int) []float64 {
	total := 0
	for _, w := range weights {
		total += w
	}
	p := make([]float64, total+1)
	p[0] = 1
	top := 0
	for _, w := range weights {
		top += w
		for s := top; s >= 0; s-- {
			p[s] /= 2
			if s >= w {
				p[s] += p[s-w] / 2
			}
		}
	}
	return p
}

// sumsOf returns the distribution of the sum of k weights drawn without replacement.
func sumsOf(k int, weights []int) []float64 {
	weights = slices.Sorted(slices.Values(weights))
	upTo := make([]int, len(weights)+1) // the sum of the first weights
	for i, w := range weights {
		upTo[i+1] = upTo[i] + w
	}
	total := upTo[len(weights)]
	p := make([][]float64, k+1) // by the number drawn, then by their sum
	for j := range p {
		p[j] = make([]float64, total+1)
	}
	p[0][0] = 1
	for i, w := range weights {
		for j := min(k, i+1); j >= 1; j-- {
			// If j of i+1 weights are drawn, the last is one of them with probability
			// j/(i+1).
			in := float64(j) / float64(i+1)
			least, most := upTo[j], upTo[i+1]-upTo[i+1-j] // range of the sum of j of them
			for s := most; s >= least; s-- {
				p[j][s] *= 1 - in
				if s >= w {
					p[j][s] += p[j-1][s-w] * in
				}
			}
		}
	}
	return p[k]
}

// twoSided returns twice the smaller tail of a distribution from the observed sum
// outwards, at most 1.
func twoSided(p []float64, observed int) float64 {
	below, above := 0.0, 0.0
	for s, share := range p {
		if s <= observed {
			below += share
		}
		if s >= observed {
			above += share
		}
	}
	return min(1, 2*min(below, above))
}

// Holm adjusts p-values for multiple tests. Each becomes the smallest level at which
// Holm's step-down procedure rejects it. The probability of even one false rejection is
// then at most that level, however the tests depend on each other. A NaN stays NaN, and counts
// as a test.
//
// Source: Holm, Scandinavian Journal of Statistics 6 (1979).
func Holm(p []float64) []float64 {
	adjusted := slices.Clone(p)
	var order []int
	for i, v := range p {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	least := 0.0
	for rank, i := range order {
		least = max(least, min(1, float64(len(p)-rank)*p[i]))
		adjusted[i] = least
	}
	return adjusted
}
