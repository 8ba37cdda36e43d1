/** What the page costs, measured, not asserted: `python -m tests.bench.browser`. The swarms here are files alone. */
import type { Page } from '@playwright/test';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { expect, test } from './lab';

const SECONDS = Number(process.env.FIGURES ?? 20);
const PER_SECOND = 10;
const BUILT = join(__dirname, '..', '..', 'swarm_lab', 'jupyter');

declare global {
  interface Window {
    /** When the page first showed each round, in ms since 1970, and its long tasks. */
    shown: Map<number, number>;
    long: number[];
  }
}

/** Look at the round that the tab shows at every change of it, after it is painted. */
async function watch(page: Page): Promise<void> {
  await page.evaluate(() => {
    window.shown = new Map();
    window.long = [];
    new PerformanceObserver(list => list.getEntries().forEach(entry => window.long.push(entry.duration))).observe({
      type: 'longtask'
    });
    const bar = document.querySelector('.swl-Tab [role=progressbar]')!;
    new MutationObserver(() => {
      const round = Number(/(\d+)/.exec(bar.getAttribute('aria-valuetext')!)![1]) - 1;
      requestAnimationFrame(() => setTimeout(() => window.shown.has(round) || window.shown.set(round, Date.now())));
    }).observe(bar, { attributes: true });
  });
}

/** Facts of rounds, ten a second; when each was written. */
async function write(swarm: string, nodes: string[]): Promise<Map<number, number>> {
  const file = join(process.env.XDG_DATA_HOME!, 'swarm-lab', 'swarms', swarm, 'events.jsonl');
  const lines = readFileSync(file, 'utf-8').trim().split('\n').map(line => JSON.parse(line));
  const last = lines.findLast(line => line.event === 'round');
  const written = new Map<number, number>();
  let { seq } = lines[lines.length - 1];
  for (let round = last.round + 1; round <= last.round + SECONDS * PER_SECOND; round++) {
    const told = nodes.map(node => [node, { loss: 1 / round, metric: 1 - 1 / round, batches: 16 }]);
    const fact = { ...last, seq: ++seq, time: Date.now() / 1000, round, metrics: Object.fromEntries(told) };
    written.set(round, Date.now());
    appendFileSync(file, JSON.stringify(fact) + '\n');
    await sleep(1000 / PER_SECOND);
  }
  await sleep(2000);
  return written;
}

async function heap(page: Page): Promise<number> {
  const [itself] = page.context().pages(); // galata's is a proxy, which Playwright does not take
  const session = await page.context().newCDPSession(itself);
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  await session.detach();
  return usedSize / 2 ** 20;
}

const quantile = (values: number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))];

for (const count of JSON.parse(process.env.SIZES ?? '[1, 10, 100]') as number[]) {
  test(`${count} nodes: from an event to a pixel`, async ({ lab, page }) => {
    test.setTimeout((SECONDS + 120) * 1000);
    const swarm = `paper-${count}`;
    const began = Date.now();
    await lab.open();
    await expect(lab.swarm(swarm)).toBeVisible();
    const painted = Date.now() - began;
    await lab.run('swarm-lab:open-training', { swarm, training: 't-1' });
    await page.locator('.swl-Tab [role=progressbar]').waitFor();
    await watch(page);
    const before = await heap(page);
    const nodes = Array.from({ length: count }, (_, index) => `sl-${index + 1}`);
    const written = await write(swarm, nodes);
    const after = await heap(page);
    const [shown, long] = await page.evaluate(() => [[...window.shown], window.long] as const);
    // A round that was passed over is on the screen with the next one that is.
    const delays = [...written].flatMap(([round, at]) => {
      const seen = shown.filter(([later]) => later >= round).map(([, when]) => when);
      return seen.length ? [Math.min(...seen) - at] : [];
    });
    const ms = (value: number): string => `${Math.round(value)} ms`;
    console.log(
      [
        `FIGURE ${count} nodes`,
        `event to pixel p50 ${ms(quantile(delays, 0.5))}, p95 ${ms(quantile(delays, 0.95))}`,
        `${delays.length} of ${written.size} events seen`,
        `${long.length} tasks over 50 ms, longest ${ms(Math.max(0, ...long))}`,
        `heap ${before.toFixed(1)} to ${after.toFixed(1)} MiB`,
        `panel after ${ms(painted)}`
      ].join(' | ')
    );
  });
}

test('the size of what is loaded', () => {
  for (const folder of ['labextension/static', 'static']) {
    const files = readdirSync(join(BUILT, folder)).filter(name => /\.(js|css)$/.test(name));
    const bytes = files.map(name => readFileSync(join(BUILT, folder, name)));
    const sum = (sizes: number[]): string => `${Math.round(sizes.reduce((a, b) => a + b, 0) / 1000)} kB`;
    const packed = bytes.map(content => gzipSync(content).length);
    console.log(`FIGURE ${folder}: ${files.length} files, ${sum(bytes.map(one => one.length))}, gzip ${sum(packed)}`);
  }
});
