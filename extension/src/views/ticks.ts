/** Round numbers for the axes of charts. */

/** Round numbers that hold `low` and `high`, about `parts` steps between them. */
export function niceTicks(low: number, high: number, parts = 3): number[] {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(factor => power * factor).find(size => size >= rough * (1 - 1e-9)) ?? power * 10;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(Math.ceil(high / step - 1e-9), first + 1);
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

/** All with the digits that the finest of them needs. */
export function tickTexts(ticks: number[]): string[] {
  const digits = Math.max(...ticks.map(tick => (String(tick).split('e')[0].split('.')[1] ?? '').length));
  const tiny = ticks.some(tick => tick !== 0 && Math.abs(tick) < 1e-4);
  return ticks.map(tick => (tiny ? tick.toExponential(1) : tick.toFixed(digits)));
}

/** The first round, then multiples of 1, 5, 10, 20, 50 and so on, none nearer than `least` pixels to another. */
export function roundTicks(first: number, last: number, width: number, least: number): number[] {
  const perRound = width / Math.max(1, last - first);
  const steps = [1, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
  const step = steps.find(size => size * perRound >= least) ?? steps[steps.length - 1];
  const ticks = [first];
  for (let tick = Math.ceil((first + 1) / step) * step; tick <= last; tick += step) {
    if ((tick - first) * perRound >= least * 0.75) {
      ticks.push(tick);
    }
  }
  return ticks;
}
