package stats

import "math"

const (
	// Suspicious is the score above which Outliers returns a value.
	Suspicious = 3.5
	// madOfNormal and meanOfNormal are the median and the mean distance from the median
	// in a normal distribution with standard deviation 1.
	madOfNormal  = 0.67448975019608171
	meanOfNormal = 0.79788456080286541 // sqrt(2/pi)
)

// Outliers returns the indices of the values that are far from the median, by the
// median absolute deviation. Report and inspect them, but keep them: a figure without
// them does not describe the experiment.
func Outliers(x []float64) []int {
	var far []int
	for i, score := range Scores(x) {
		if math.Abs(score) > Suspicious {
			far = append(far, i)
		}
	}
	return far
}

// Scores returns how far each value is from the median, in standard deviations of a
// normal distribution with the same median absolute deviation. If that deviation is
// zero, because more than half of the values are equal, the mean absolute deviation is
// used instead. If all values are equal, every score is zero.
//
// Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993).
func Scores(x []float64) []float64 {
	middle := Median(x)
	scores, distance := make([]float64, len(x)), make([]float64, len(x))
	for i, v := range x {
		scores[i] = v - middle
		distance[i] = math.Abs(v - middle)
	}
	scale := Median(distance) / madOfNormal
	if scale == 0 {
		scale = Arithmetic(distance) / meanOfNormal
	}
	if scale == 0 {
		return scores
	}
	for i := range scores {
		scores[i] /= scale
	}
	return scores
}
