package validity

import "fmt"

// floodLoss is the share of a flood's frames that may be lost on their way.
const floodLoss = 0.01

// floodArrived compares the frames that floods sent with those that came to the server:
// a kernel can drop frames that it has counted as sent.
func floodArrived(e *evidence) (bool, string) {
	var sent uint64
	for _, n := range e.clients() {
		sent += n.frames
	}
	switch {
	case !e.experiment.Floods():
		return true, "not asked for"
	case e.trial.FloodFrames == nil:
		return true, fmt.Sprintf("%d frames were sent; nothing counts those that arrive here", sent)
	}
	arrived := *e.trial.FloodFrames
	apart := max(sent, arrived) - min(sent, arrived)
	return float64(apart) <= floodLoss*float64(sent), fmt.Sprintf("%d frames were sent, %d came to the server (allowed: "+
		"1 %% apart)", sent, arrived)
}
