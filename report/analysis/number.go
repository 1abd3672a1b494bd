package analysis

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"

	"github.com/equic-bench/equic-bench/stats"
)

// Number is one measured value. NaN means "not measured" or "not defined" and an
// infinity means "without bound"; JSON has neither, so both are null there.
type Number float64

// Unknown returns a Number that was not measured.
func Unknown() Number { return Number(math.NaN()) }

// Known reports whether n is a finite number.
func (n Number) Known() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// String returns n with six significant digits, whole numbers in full, and "" if n is
// not finite. Six digits also hide the effect of the order in which a compiler adds.
func (n Number) String() string {
	v := float64(n)
	switch {
	case !n.Known():
		return ""
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 1e6:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	if err != nil {
		return ""
	}
	return strconv.FormatFloat(short, 'f', -1, 64)
}

// MarshalJSON writes the number as String does, and null if it is not finite.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Known() {
		return []byte("null"), nil
	}
	return []byte(n.String()), nil
}

// UnmarshalJSON reads what MarshalJSON wrote; null becomes NaN.
func (n *Number) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*n = Unknown()
		return nil
	}
	return json.Unmarshal(text, (*float64)(n))
}

// medianOf returns the metrics of a variant: each Number is the median of that Number
// over the trials that have it. It panics if there are no trials.
func medianOf(trials []*Metrics) *Metrics { return overTrials(trials, stats.Median) }

// lowEnd and highEnd return the ends of the interval of a median.
func lowEnd(x []float64) float64 { return medianInterval(x).Low }

func highEnd(x []float64) float64 { return medianInterval(x).High }

func medianInterval(x []float64) stats.Interval {
	return stats.QuantileInterval(stats.Sorted(x), 0.5, Confidence)
}

// overTrials makes one Metrics of several: each Number is computed by f from that
// Number in each trial that has it. It panics if there are no trials.
func overTrials(trials []*Metrics, f func([]float64) float64) *Metrics {
	if len(trials) == 0 {
		panic("report: figures of no trials")
	}
	values := make([]reflect.Value, len(trials))
	for i, m := range trials {
		values[i] = reflect.ValueOf(m).Elem()
	}
	out := new(Metrics)
	reduce(reflect.ValueOf(out).Elem(), values, f)
	return out
}

// reduce sets dst by f from src, through structs and maps of Numbers.
func reduce(dst reflect.Value, src []reflect.Value, f func([]float64) float64) {
	switch dst.Kind() {
	case reflect.Float64:
		dst.SetFloat(f(known(src)))
	case reflect.Struct:
		for i := range dst.NumField() {
			fields := make([]reflect.Value, len(src))
			for j := range src {
				fields[j] = src[j].Field(i)
			}
			reduce(dst.Field(i), fields, f)
		}
	case reflect.Map:
		reduceMap(dst, src, f)
	default:
		panic("report: a metric is a Number, or a struct or map of them, not " + dst.Type().String())
	}
}

func reduceMap(dst reflect.Value, src []reflect.Value, f func([]float64) float64) {
	dst.Set(reflect.MakeMap(dst.Type()))
	for _, m := range src {
		for _, key := range m.MapKeys() {
			var have []reflect.Value
			for _, other := range src {
				if v := other.MapIndex(key); v.IsValid() {
					have = append(have, v)
				}
			}
			elem := reflect.New(dst.Type().Elem()).Elem()
			reduce(elem, have, f)
			dst.SetMapIndex(key, elem)
		}
	}
}

// known returns the values that are not NaN.
func known(src []reflect.Value) []float64 {
	var x []float64
	for _, v := range src {
		if !math.IsNaN(v.Float()) {
			x = append(x, v.Float())
		}
	}
	return x
}
