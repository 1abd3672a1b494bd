package figures

// phrases contains every text of the figures. Names of variants are not translated:
// they are identifiers. The Portuguese terms are the paper's if it has one.
var phrases = [phraseCount]words{
	claimsTitle: {
		"The paper's claims: its values, what its instrument reads on these trials, and ours",
		"As afirmações do artigo: seus valores, o que seu instrumento lê nestas repetições, e os nossos",
	},
	figure3Title: {
		"Figure 3: throughput of the sequential clients under attack",
		"Figura 3: vazão dos clientes sequenciais sob ataque",
	},
	figure4Title: {
		"Figure 4: mean throughput, and the time to turn a client away",
		"Figura 4: vazão média e tempo de bloqueio de um cliente",
	},
	figure5Title: {"Figure 5: duration of the sequential requests", "Figura 5: duração das requisições sequenciais"},
	figure6Title: {
		"Figure 6: distribution of the server's CPU and memory use",
		"Figura 6: funções acumuladas de distribuição do uso de CPU e memória pelo servidor",
	},
	recoveryTitle: {
		"Recovery: how long the throughput stays reduced",
		"Recuperação: por quanto tempo a vazão fica reduzida",
	},
	blockTimeFairTitle: {
		"Block time, measured in the same way for every variant: cost per client turned away",
		"Tempo de bloqueio, medido da mesma forma em todas as variantes: quanto custa bloquear um cliente",
	},
	latencyTitle: {
		"Latency over time: response time of the sequential clients",
		"Latência ao longo do tempo: tempo de resposta dos clientes sequenciais",
	},

	claimsWhat: {
		"Change to blocking in the kernel (xdp-block) from blocking in user space (userspace-block), or as the label " +
			"says; of cpu and cpu-without, the share of the time. Each claim by the load that the paper used for it. Right: " +
			"why the trials do not decide a claim.",
		"Variação para o bloqueio no núcleo (xdp-block) a partir do bloqueio em espaço de usuário (userspace-block), ou " +
			"conforme o rótulo; de cpu e cpu-without, a fração do tempo. Cada afirmação com a carga que o artigo usou. À " +
			"direita: por que as repetições não decidem uma afirmação.",
	},
	claimsInstrument: {
		"The paper's instrument is its estimator, applied to our records; it is left out if it does not differ from ours.",
		"O instrumento do artigo é seu estimador, aplicado aos nossos registros; é omitido se não difere do nosso.",
	},
	figure3What: {
		"Completed requests in bins of 1 s; over several trials, the median of each bin.",
		"Requisições concluídas em intervalos de 1 s; com várias repetições, a mediana de cada intervalo.",
	},
	figure3Recovery: {
		"Recovered: the first of five seconds within 10 %% of the median before the attack.",
		"Recuperação: o primeiro de cinco segundos a menos de 10 %% da mediana anterior ao ataque.",
	},
	figure3Paper: {
		"Paper: the attack begins at bin 5; blocked in the kernel the throughput recovers at bin 22, in user space at bin " +
			"27. Its bins of 5 s are in the data.",
		"Artigo: o ataque começa no intervalo 5; com bloqueio no núcleo a vazão se recupera no intervalo 22, em espaço de " +
			"usuário no 27. Seus intervalos de 5 s estão nos dados.",
	},
	figure4Left: {
		"(a): whole load, bins of 1 s, empty ones included.",
		"(a): toda a carga, intervalos de 1 s, inclusive os vazios.",
	},
	figure4Right: {
		"(b): where each variant turns clients away. A refusal is one client; a client that is dropped costs many " +
			"packets. Refusals in user space by a variant that drops in the kernel are not drawn.",
		"(b): onde cada variante bloqueia os clientes. Uma recusa é um cliente; um cliente descartado custa muitos " +
			"pacotes. O que uma variante do núcleo ainda recusa em espaço de usuário não é mostrado.",
	},
	figure4Paper: {
		"Paper: throughput +30.9 %%, block time -26.4 %% (8 µs in the kernel), kernel against user space.",
		"Artigo: vazão +30,9 %%, tempo de bloqueio -26,4 %% (8 µs no núcleo), núcleo comparado a espaço de usuário.",
	},
	figure5What: {
		"Requests of the whole load that were answered. A percentile is shown only where the sample supports it.",
		"Requisições de toda a carga que foram atendidas. Um percentil só é mostrado onde a amostra o permite.",
	},
	figure5Paper: {
		"Paper: harmonic mean of the duration -65 %%, kernel against user space; no-block shorter than user space.",
		"Artigo: média harmônica da duração -65 %%, núcleo comparado a espaço de usuário; sem bloqueio, menor que em " +
			"espaço de usuário.",
	},
	figure6What: {
		"Empirical distributions of samples at equal intervals, from the epoch to the end of the load.",
		"Distribuições empíricas de amostras a intervalos iguais, do início ao fim da carga.",
	},
	figure6Trials: {
		"The lines are of the samples of all trials together; the marks stand at each tenth of the time.",
		"As linhas são das amostras de todas as repetições juntas; as marcas estão a cada décimo do tempo.",
	},
	figure6Thinned: {
		"Of more than %[1]d steps, small ones are left out: no share is off by more than 1/%[1]d.",
		"De mais de %[1]d degraus, os pequenos são omitidos: nenhuma fração se desvia mais de 1/%[1]d.",
	},
	figure6Paper: {
		"Paper: with eQUIC (xdp-block) CPU < 40 %% and memory about 30 %% for 90 %% of the time; without " +
			"(userspace-block) CPU at 90 %% for 80 %%, memory 90 %%.",
		"Artigo: com o eQUIC (xdp-block) CPU < 40 %% e memória em cerca de 30 %% durante 90 %% do tempo; sem ele " +
			"(userspace-block) CPU em 90 %% durante 80 %%, memória 90 %%.",
	},
	recoveryWhat: {
		"(a): from the first request of the attack to the first of five seconds within 10 %% of the median before it; an " +
			"arrow: not in the time that was left. (b): all seconds from then on that are more than 10 %% below that median.",
		"(a): da primeira requisição do ataque até o primeiro de cinco segundos a menos de 10 %% da mediana anterior; " +
			"seta: não ocorreu no tempo restante. (b): todos os segundos desde então mais de 10 %% abaixo dessa mediana.",
	},
	blockTimeFair: {
		"Busy time of the server's CPUs during the attack, packet processing of the kernel included, beyond the rate " +
			"before it, per request of the attack that was not served.",
		"Tempo ocupado das CPUs do servidor durante o ataque, incluindo o processamento de pacotes no núcleo, além da " +
			"taxa anterior, por requisição do ataque não atendida.",
	},
	blockTimeNobody: {
		"No value: %s (no limiter, nobody turned away, or no quiet time before the attack).",
		"Sem valor: %s (sem limitador, ninguém bloqueado ou nenhum tempo calmo antes do ataque).",
	},
	latencyWhat: {
		"Answered requests by their intended start, from which the time counts, in bins of 5 s. Every bin with 9 answered " +
			"requests has a median, with 89 a p95; in one with fewer the line is broken.",
		"Requisições atendidas, pelo início previsto, a partir do qual conta o tempo, em intervalos de 5 s. Há mediana a " +
			"partir de 9 requisições atendidas no intervalo e p95 a partir de 89; com menos, a linha é interrompida.",
	},
	latencyFailed: {
		"Not answered, and so in no value, under %s: %s requests (median of the trials).",
		"Não atendidas, portanto fora dos valores, com %s: %s requisições (mediana das repetições).",
	},

	claimsNoInterval: {
		"The run has too few blocks for intervals.", "A execução tem blocos insuficientes para intervalos de confiança.",
	},
	breakingTitle: {
		"Breaking points: the strongest attack that each variant withstands",
		"Pontos de ruptura: o ataque mais forte que cada variante suporta",
	},
	attemptTitle: {
		"Cost of an attempt: what it costs the server with each variant, and the attacker",
		"Custo de uma tentativa: para o servidor, com cada variante, e para o atacante",
	},
	goodputTitle: {
		"Throughput that the sequential clients keep during attacks of several strengths",
		"Vazão que os clientes sequenciais mantêm durante ataques de várias intensidades",
	},
	goodputWhat: {
		"Throughput of the sequential clients during the attack, in percent of that before it, against the strength of the " +
			"attack as a multiple of what the server can serve.",
		"Vazão dos clientes sequenciais durante o ataque, em percentual da anterior, pela intensidade do ataque, como " +
			"múltiplo do que o servidor consegue atender.",
	},
	keptAxis: {"throughput kept (%)", "vazão mantida (%)"},
	attemptWhat: {
		"Busy time of the server's CPUs during the attack, packet processing of the kernel included, beyond the rate before " +
			"it, per attempt of the attack, and CPU time of the attackers per attempt. A cost that is not above zero is not drawn.",
		"Tempo ocupado das CPUs do servidor durante o ataque, incluído o processamento de pacotes no núcleo, além da taxa " +
			"anterior, por tentativa do ataque, e tempo de CPU dos atacantes por tentativa. Um custo que não é positivo não " +
			"é desenhado.",
	},
	costsServer:            {"the server", "o servidor"},
	costsAttacker:          {"the attacker", "o atacante"},
	microsecondsPerAttempt: {"CPU time per attempt (µs)", "tempo de CPU por tentativa (µs)"},
	breakingWhat: {
		"The strongest attack, of those that were tried, during which the sequential clients keep %s %% of their " +
			"throughput before it, their p99 is at most %s times that before it, and at most %s of their requests are lost.",
		"O ataque mais forte, entre os testados, durante o qual os clientes sequenciais mantêm %s %% de " +
			"sua vazão anterior, seu p99 é no máximo %s vezes o anterior, e no máximo %s de suas requisições são perdidas.",
	},
	breakingTries: {
		"The bounds are at most %s times apart. Each attack was tried once, so results near the limit vary.",
		"Os limites diferem no máximo por um fator de %s. Cada ataque foi testado uma vez: perto do limite, os resultados variam.",
	},

	breakingBounds: {
		"Only the strengths of this run were tried: an arrow means that the breaking point is beyond them.",
		"Somente as intensidades desta execução foram testadas: uma seta indica que o ponto de ruptura está além delas.",
	},

	claimUnknown:        {"no change can be computed", "nenhuma variação pode ser calculada"},
	claimUnmet:          {"a premise is not met", "uma premissa não é satisfeita"},
	claimFromZero:       {"userspace-block is at zero", "userspace-block está em zero"},
	claimFewBlocks:      {"too few blocks for an interval", "blocos insuficientes para um intervalo"},
	claimHoldsZero:      {"the interval includes zero change", "o intervalo contém a variação nula"},
	claimFewForVerdict:  {"too few blocks for a verdict", "blocos insuficientes para um veredito"},
	claimNotSignificant: {"p is not below 0.05 after correction", "p corrigido não é menor que 0,05"},
	claimOpen:           {"the direction or size is open", "a direção ou o tamanho está em aberto"},

	oneTrial: {"One trial, no interval.", "Uma repetição, sem intervalo de confiança."},
	fewTrials: {
		"Median of %s trials, too few for a 95 %% interval.",
		"Mediana de %s repetições, insuficientes para um intervalo de confiança de 95 %%.",
	},
	someTrials: {
		"Median of %s trials; no 95 %% interval where there are fewer than %d.",
		"Mediana de %s repetições; sem intervalo de confiança de 95 %% onde há menos de %d.",
	},
	fromMany:   {"%d to %d", "%d a %d"},
	manyTrials: {"Median of %s trials.", "Mediana de %s repetições."},

	sinceEpoch:            {"time since the epoch (s)", "tempo desde o início (s)"},
	sinceAttack:           {"time since the attack began (s)", "tempo desde o início do ataque (s)"},
	changeAxis:            {"change, or share of the time (%%)", "variação, ou fração do tempo (%%)"},
	requestsPerSecond:     {"throughput (requests/s)", "vazão (requisições/s)"},
	microseconds:          {"block time (µs)", "tempo de bloqueio (µs)"},
	microsecondsPerClient: {"extra CPU time per client (µs)", "tempo extra de CPU por cliente (µs)"},
	milliseconds:          {"time (ms)", "tempo (ms)"},
	inSecondsAxis:         {"time (s)", "tempo (s)"},
	cpuOfServer:           {"CPU of the server process (%% of its CPUs)", "CPU do processo servidor (%% de suas CPUs)"},
	residentSet:           {"resident set of the server (MiB)", "memória residente do servidor (MiB)"},
	shareOfTime:           {"share of the time at or below (1 = all)", "fração acumulada do tempo (1 = todo)"},
	strengthAxis:          {"strength (multiples of the capacity)", "força (múltiplos da capacidade)"},
	breakingAxis:          {"× capacity", "× capacidade"},
	withAttempts:          {"%s (%s/s)", "%s (%s/s)"},
	logScale:              {"%s, log", "%s, log"},

	cpuTitle:        {"CPU", "CPU"},
	memoryTitle:     {"Memory", "Memória"},
	throughputTitle: {"Throughput", "Vazão"},
	blockTimeTitle:  {"Time to turn one client away", "Tempo de bloqueio de um cliente"},
	responseTime:    {"Response time, from the intended start", "Tempo de resposta, desde o início previsto"},
	serviceTime:     {"Service time, from the actual start", "Tempo de serviço, desde o início real"},
	untilRecovered:  {"Until recovered", "Até a recuperação"},
	below90:         {"Below 90 %% of the throughput before", "Abaixo de 90 %% da vazão anterior"},
	latencyMedian:   {"Median response time", "Mediana do tempo de resposta"},
	latencyP95:      {"95th percentile (p95) of the response time", "Percentil 95 (p95) do tempo de resposta"},

	bandOf: {
		"band: 95 %% interval of the median of %s trials",
		"faixa: intervalo de 95 %% da mediana de %s repetições",
	},
	intervalOf:    {"95 %% interval of the median of %s trials", "intervalo de 95 %% da mediana de %s repetições"},
	oneTrialLine:  {"thin: one of %s trials", "fina: uma de %s repetições"},
	oneTrialPoint: {"one of %s trials", "uma de %s repetições"},
	weakAttack:    {"attack at %gx the capacity, not %gx", "ataque a %gx a capacidade, não %gx"},
	noValues: {
		"no values: no attack, or too short a load",
		"sem valores: não houve ataque, ou a carga foi curta demais",
	},
	oneTrialEach:      {"one trial each, no interval", "uma repetição de cada, sem intervalo de confiança"},
	readingInstrument: {"the paper's instrument on these trials", "o instrumento do artigo nestas repetições"},
	readingOurs:       {"measured", "medido"},
	changeInterval:    {"95 %% interval", "intervalo de 95 %%"},
	changeNone:        {"no change", "sem variação"},
	changeBeyond:      {"beyond +%d %%", "além de +%d %%"},
	changeFromZero:    {"from zero", "a partir de zero"},
	attackOfVariant: {
		"the variant's attack, first to last request",
		"ataque na variante, da primeira à última requisição",
	},
	recoveredMark:  {"recovered: the first of 5 s within it", "recuperada: o primeiro de 5 s nessa faixa"},
	leftTime:       {"not recovered in the time that was left", "não recuperada no tempo restante"},
	notRecovered:   {"not recovered within %s s", "não recuperada em %s s"},
	recoveredAfter: {"recovered after %s s", "recuperada após %s s"},
	quietMedian:    {"median before the attack", "mediana anterior ao ataque"},
	quietBand:      {"within 10 %% of it", "a menos de 10 %% dela"},
	cutAbove:       {"above %s: cut (highest: %s)", "acima de %s: cortado (máximo: %s)"},
	paperBar:       {"paper: +30.9 %% over userspace-block", "artigo: +30,9 %% sobre userspace-block"},
	paperBarZero: {
		"paper: +30.9 %% over userspace-block, which is at zero",
		"artigo: +30,9 %% sobre userspace-block, que está em zero",
	},
	paperBlockTime: {
		"paper: 8 µs in the kernel, 26.4 %% less than in user space",
		"artigo: 8 µs no núcleo, 26,4 %% menos que em espaço de usuário",
	},
	byPaper:          {"paper", "artigo"},
	statedCPUWith:    {"paper: CPU below 40 %% for 90 %% of the time", "artigo: CPU abaixo de 40 %% em 90 %% do tempo"},
	statedCPUWithout: {"paper: CPU at 90 %% for 80 %% of the time", "artigo: CPU em 90 %% durante 80 %% do tempo"},
	statedWith: {
		"paper: CPU below 40 %%, memory at 30 %% of the limit, for 90 %% of the time",
		"artigo: CPU abaixo de 40 %%, memória em 30 %% do limite, em 90 %% do tempo",
	},
	statedWithout: {
		"paper: CPU at 90 %% for 80 %% of the time, memory at 90 %% of the limit",
		"artigo: CPU em 90 %% durante 80 %% do tempo, memória em 90 %% do limite",
	},
	figure6Limit: {"The paper does not say what its memory percentages refer to; here it is the server's limit, " +
		"%s MiB.", "O artigo não informa a base de suas porcentagens de memória: aqui, o limite do servidor, %s MiB."},
	attackScheduled: {"attack as scheduled", "ataque previsto"},
	harmonicBar:     {"bar: harmonic mean", "barra: média harmônica"},
	costKernel:      {"kernel, per dropped packet", "núcleo, por pacote descartado"},
	costCPU:         {"user space, CPU time per refusal", "espaço de usuário, tempo de CPU por recusa"},
	costWall:        {"user space, wall time per refusal", "espaço de usuário, tempo decorrido por recusa"},

	upToBroken:   {"up to the weakest attack that it did not withstand", "até o ataque mais fraco que foi forte demais"},
	moreThanThat: {"more than that", "mais que isso"},
	lessThanThat: {"less than that", "menos que isso"},
	oneSearch:    {"one of %s searches", "uma de %s buscas"},

	harmonicMean:        {"harmonic mean", "média harmônica"},
	arithmeticMean:      {"arithmetic mean", "média aritmética"},
	median:              {"median", "mediana"},
	p95:                 {"p95", "p95"},
	p99:                 {"p99", "p99"},
	extraTime:           {"extra time per client turned away", "tempo extra por cliente bloqueado"},
	breakingPoint:       {"breaking point", "ponto de ruptura"},
	notWithin:           {"not within %s s", "não em %s s"},
	fromTo:              {"%s to %s s", "%s a %s s"},
	forTimeAtMost:       {"at most, for %d %% of the time", "durante %d %% do tempo, no máximo"},
	inRequestsPerSecond: {"%s requests/s", "%s requisições/s"},
	inMicroseconds:      {"%s µs", "%s µs"},
	inMilliseconds:      {"%s ms", "%s ms"},
	inSeconds:           {"%s s", "%s s"},
	timesCapacity:       {"%s times the capacity", "%s vezes a capacidade"},
}
