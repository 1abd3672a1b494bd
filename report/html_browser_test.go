package report

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/equic-bench/equic-bench/internal/testkit"
	"github.com/equic-bench/equic-bench/report/analysis"
	"github.com/equic-bench/equic-bench/report/internal/synth"
	"github.com/equic-bench/equic-bench/results"
)

// browser is a real Chromium without a network, and its errors.
type browser struct {
	ctx context.Context
	dir string // of the run

	mu    sync.Mutex
	wrong []string
}

// openPage loads the report of a run from its file.
func openPage(t *testing.T, dir string) *browser {
	t.Helper()
	program := chromium(t)
	b := &browser{dir: dir}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.ProxyServer("127.0.0.1:1"), // no server listens there: no network
		chromedp.Flag("disable-dev-shm-usage", true))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	b.ctx, stop = chromedp.NewContext(ctx, chromedp.WithListener(b.listen))
	t.Cleanup(stop)
	b.do(t, chromedp.EmulateViewport(1280, 800))
	b.ctx, stop = context.WithTimeout(b.ctx, 2*time.Minute)
	t.Cleanup(stop)
	call(t, b, network.Enable, network.EnableParams{})
	b.do(t, chromedp.Navigate("file://"+filepath.Join(dir, results.ReportDir, HTMLFile)))
	return b
}

// chromium returns the path of the browser. Without a browser the test is skipped,
// except in continuous integration, which installs it.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const reason = "there is no Chromium on this machine (Debian's package is chromium)"
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
	return ""
}

// listen records errors, and every request except that of the page.
func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.wrong = append(b.wrong, "console: "+string(e.Type))
	case *log.EventEntryAdded:
		b.wrong = append(b.wrong, "log: "+e.Entry.Text)
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasSuffix(url, "/"+HTMLFile) && !strings.HasPrefix(url, "data:") {
			b.wrong = append(b.wrong, "request: "+url)
		}
	}
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	testkit.Must(t, chromedp.Do(b.ctx, actions...))
}

// call runs one command of the browser's protocol.
func call[P, R any](t *testing.T, b *browser, command cdp.Command[P, R], params P) {
	t.Helper()
	_, err := chromedp.Call(b.ctx, command, params)
	testkit.Must(t, err)
}

// media sets the medium and colour scheme of the page; empty means its own.
func (b *browser) media(t *testing.T, medium, scheme string) {
	t.Helper()
	params := emulation.SetEmulatedMediaParams{Media: medium}
	if scheme != "" {
		params.Features = []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	}
	call(t, b, emulation.SetEmulatedMedia, params)
}

// ask returns the value of an expression on the page.
func ask[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	testkit.Must(t, err)
	return value
}

func TestPageInABrowser(t *testing.T) {
	testkit.Slow(t, "starts a browser")
	t.Parallel()
	dir := synth.OneBlock().Write(t)
	write(t, dir)
	b := openPage(t, dir)
	t.Run("every figure is visible", b.figuresAreVisible)
	t.Run("the first screen has all verdicts", b.verdictsAreOnTheFirstScreen)
	t.Run("light and dark differ and can be read", b.followsTheColourScheme)
	t.Run("pointing at a bin shows its value", b.tellsValues)
	t.Run("the arrow keys show values too", b.tellsValuesByKey)
	t.Run("nothing is wider than a phone", b.fitsAPhone)
	t.Run("it prints", b.prints)
	t.Run("without scripts it is whole", b.needsNoScripts)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		t.Error(w)
	}
}

func (b *browser) figuresAreVisible(t *testing.T) {
	t.Helper()
	type box struct{ Width, Height, Texts float64 }
	boxes := ask[[]box](t, b, `[...document.querySelectorAll("figure .canvas svg")].map((s) => {
		const r = s.getBoundingClientRect();
		return {Width: r.width, Height: r.height, Texts: s.querySelectorAll("text").length};
	})`)
	if len(boxes) != 8 {
		t.Fatalf("%d figures, want 8", len(boxes))
	}
	for i, f := range boxes {
		if f.Width < 400 || f.Width < 800 && i != 6 || f.Height < 250 || f.Texts < 8 { // the seventh is of one column
			t.Errorf("figure %d of the page is %+v", i+1, f)
		}
	}
}

func (b *browser) verdictsAreOnTheFirstScreen(t *testing.T) {
	t.Helper()
	if bottom := ask[float64](t, b,
		`document.querySelector("table.verdicts").getBoundingClientRect().bottom`); bottom > 800 {
		t.Errorf("the verdicts end %v px down", bottom)
	}
	if over := ask[float64](t, b, `(() => { const s = document.querySelector("#verdicts .scroll"); return s.scrollWidth - s.clientWidth; })()`); over > 0 {
		t.Errorf("the verdicts are %v px too wide", over)
	}
}

// followsTheColourScheme compares the page, and a figure in it, in both schemes.
func (b *browser) followsTheColourScheme(t *testing.T) {
	light := map[string]float64{}
	for _, scheme := range []string{"light", "dark"} {
		b.media(t, "", scheme)
		got := ask[map[string]float64](t, b, `(() => {
			const bright = (c) => c.match(/\d+/g).slice(0, 3).reduce((a, v) => a + Number(v), 0) / 3;
			const of = (q, p) => bright(getComputedStyle(document.querySelector(q))[p]);
			return {page: of("body", "backgroundColor"), ink: of("body", "color"),
				card: of("figure .canvas svg path", "fill"), letters: of("figure .canvas svg text", "fill")};
		})()`)
		for _, pair := range [][2]string{{"page", "ink"}, {"card", "letters"}} {
			if contrast := got[pair[0]] - got[pair[1]]; (scheme == "light") != (contrast > 0) || max(contrast, -contrast) < 150 {
				t.Errorf("%s: %s %v, %s %v", scheme, pair[0], got[pair[0]], pair[1], got[pair[1]])
			}
		}
		light[scheme] = got["page"]
	}
	if !(light["light"] > light["dark"]+150) {
		t.Errorf("the page is of brightness %v", light)
	}
	b.media(t, "", "")
}

// settle scrolls to a figure. Scrolling hides the tip, so settle waits for its end: two
// frames later it is over.
func (b *browser) settle(t *testing.T, id string) {
	t.Helper()
	ask[bool](t, b, `new Promise((done) => {
		document.getElementById("`+id+`").scrollIntoView({block: "center"});
		requestAnimationFrame(() => requestAnimationFrame(() => done(true)));
	})`)
}

// tellsValues points at the place of a bin of userspace-block in figure 3, computed
// from its data and the labels of the axes, and reads the tip.
func (b *browser) tellsValues(t *testing.T) {
	want := analysis.Unknown()
	for line := range strings.Lines(string(reported(t, b.dir, "figure-3.csv"))) {
		if text, ok := strings.CutPrefix(line, "userspace-block,1,20,median,"); ok {
			testkit.Must(t, json.Unmarshal([]byte(text), &want))
		}
	}
	b.settle(t, "figure-3")
	axes := ask[struct{ X5, X10, Y50, Y100 float64 }](t, b, `(() => {
		// The middle of a label; those of the y axis are above those of the x axis.
		const label = (text, x) => [...document.querySelectorAll("#figure-3 .canvas text")]
			.filter((e) => e.textContent === text).map((e) => e.getBoundingClientRect())
			.sort((a, b) => x ? b.top - a.top : a.top - b.top)
			.map((r) => x ? r.left + r.width / 2 : r.top + r.height / 2)[0];
		return {X5: label("5", true), X10: label("10", true), Y50: label("50", false), Y100: label("100", false)};
	})()`)
	x := axes.X5 + (axes.X10-axes.X5)/10 // the attack begins at 15 s
	y := axes.Y50 + (float64(want)-50)*(axes.Y100-axes.Y50)/50
	b.do(t, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, x, y))
	tip := ask[map[string]any](t, b, `(() => {
		const tip = document.querySelector(".tip"), near = tip.querySelector(".near");
		const rings = document.querySelectorAll("#figure-3 circle.at");
		const r = document.querySelector("#figure-3 circle.near").getBoundingClientRect();
		return {hidden: tip.hidden, group: tip.querySelector("b").textContent, rings: rings.length,
			series: near.firstChild.textContent, value: near.lastChild.textContent,
			x: r.left + r.width / 2, y: r.top + r.height / 2};
	})()`)
	if tip["hidden"] != false || tip["group"] != "5 to 6 s" || tip["series"] != "userspace-block" ||
		tip["value"] != want.Short()+" requests/s" || tip["rings"] != 3.0 {
		t.Errorf("the tip says %v, want userspace-block, 5 to 6 s, %s requests/s, and 3 rings", tip, want.Short())
	}
	if dx, dy := tip["x"].(float64)-x, tip["y"].(float64)-y; max(dx, -dx, dy, -dy) > 3 {
		t.Errorf("the ring is at %v, %v, but by the axes the bin is at %v, %v", tip["x"], tip["y"], x, y)
	}
}

func (b *browser) tellsValuesByKey(t *testing.T) {
	b.settle(t, "figure-5")
	b.do(t, chromedp.Focus("#figure-5 .canvas"))
	b.settle(t, "figure-5")
	b.do(t, chromedp.KeyEvent(kb.ArrowRight))
	group := ask[string](t, b, `document.querySelector(".tip").hidden ? "" : document.querySelector(".tip b").textContent`)
	if group != "Response time, from the intended start: harmonic mean" {
		t.Errorf("the tip is about %q", group)
	}
}

func (b *browser) fitsAPhone(t *testing.T) {
	b.do(t, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	wide := ask[[]string](t, b, `[...document.querySelectorAll("body *")].filter((e) =>
		!e.closest(".scroll, .canvas, pre, details") && e.getBoundingClientRect().right > 391)
		.map((e) => e.tagName + "." + e.className)`)
	if over := ask[float64](t, b, `document.documentElement.scrollWidth`); over > 390 || len(wide) > 0 {
		t.Errorf("the page is %v px wide; too wide: %v", over, wide)
	}
	b.do(t, chromedp.EmulateViewport(1280, 800))
}

func (b *browser) prints(t *testing.T) {
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF())
	testkit.Must(t, err)
	if pages := strings.Count(string(pdf), "/Type /Page\n"); !strings.HasPrefix(string(pdf), "%PDF-") || pages < 2 ||
		pages > 8 {
		t.Errorf("the PDF has %d bytes and %d pages", len(pdf), pages)
	}
	b.media(t, "print", "dark")
	got := ask[string](t, b, `JSON.stringify([getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector("nav")).display])`)
	var now []string
	testkit.Must(t, json.Unmarshal([]byte(got), &now))
	if now[0] != "rgb(255, 255, 255)" || now[1] != "none" {
		t.Errorf("on paper the background is %s and the navigation %s", now[0], now[1])
	}
	b.media(t, "", "")
}

// needsNoScripts reloads the page in a browser without scripts. All readable content
// must be there, and nothing that needs a script may be offered.
func (b *browser) needsNoScripts(t *testing.T) {
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(t, chromedp.Reload())
	b.figuresAreVisible(t)
	b.verdictsAreOnTheFirstScreen(t)
	dead := ask[int](t, b, `[...document.querySelectorAll("button")].filter((e) => e.getClientRects().length > 0).length`)
	if dead > 0 {
		t.Errorf("%d buttons are shown that do nothing", dead)
	}
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{})
}
