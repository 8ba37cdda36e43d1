/** A page that shows the views without a swarm: `?nodes=4&rounds=18&theme=dark&round=16&node=sl-3&over&tab&width=980`. */
import '../../extension/style/views.css';
import type { Fact, NodeInfo, SwarmInfo } from '../../extension/src/api';
import { fold } from '../../extension/src/training';
import { LineChart, NodeTable, placesOf, Selection, Timeline, Topology, TrainingView } from '../../extension/src/views';

const query = new URLSearchParams(location.search);
const number = (name: string, usual: number): number => Number(query.get(name) ?? usual);
const count = number('nodes', 4);
const rounds = number('rounds', 18);
const lostAt = number('lost', Math.max(3, rounds - 2));

let seed = 7;
const dice = (): number => (seed = (seed * 16807) % 2147483647) / 2147483647;
const names = Array.from({ length: count }, (_, at) => `sl-${at + 1}`);
const lost = new Set(count > 2 ? names.filter((_, at) => at % 37 === 2) : []);

/** A training of `count` nodes, of which a few are lost. */
function story(): Fact[] {
  const facts: Fact[] = [];
  let time = Date.now() / 1000 - rounds * 17 - 9;
  const say = (event: string, fields: Record<string, unknown>): void => {
    facts.push({ v: 1, seq: facts.length + 1, time, event, training: 't-7', ...fields });
  };
  say('training_created', { nodes: names, program: 'cell-3.py', merge: 'mean', min_peers: Math.ceil(count / 2 + 0.5), sync: 16 });
  names.forEach(node => say('training_started', { node }));
  for (let round = 1; round <= (count > 1 ? rounds : 0); round++) {
    time += 15 + 3 * dice();
    const there = names.filter(node => round < lostAt || !lost.has(node));
    const out = names.filter(node => !there.includes(node));
    const fall = Math.exp(-round / 7);
    const metrics = Object.fromEntries(
      there.map(node => {
        const own = names.indexOf(node) % 5;
        const local_loss = 0.36 + 0.03 * own + 0.95 * fall + 0.05 * dice();
        return [node, { loss: 0.29 + 1.0 * Math.exp(-(round - 1) / 7), metric: 0.93 - 0.4 * Math.exp(-(round - 1) / 7), local_loss, local_metric: 0.9 - 0.012 * own - 0.4 * fall - 0.02 * dice(), batches: 16 }];
      })
    );
    const coordinator = there[round % there.length];
    const hash = (round * 2654435761).toString(16).repeat(9);
    say('round', { round, nodes: there, digest: hash.slice(0, 64), metrics, left_out: Object.fromEntries(out.map(node => [node, 'connection lost'])), seconds: round > 1 ? 15 + 3 * dice() : null, tx: `0x${hash.slice(8, 72)}`, path: count > 3 ? 'shards' : 'coordinator', interval: 16 });
    there.forEach(node => {
      const training_s = 8 + 4 * dice();
      say('round_times', { node, round, coordinator, training_s, waiting_s: 12.5 - training_s, exchanging_s: 2 });
    });
    if (round === lostAt) {
      out.forEach(node => say('node_lost', { node, by: there[0], reason: 'connection lost', since: time }));
    }
  }
  time += 6;
  names.forEach((node, at) => {
    if (!lost.has(node) && at % 4 !== 3) {
      say('progress', { node, round: rounds + 1, batches: 16 * rounds + 4 + (at % 9), loss: 0.3 });
    }
  });
  if (count > 1) {
    say('waiting', { node: names[count - 1], phase: 'CHECKED_IN', reason: 'sl-1 is late', nodes: ['sl-1'], since: time - 2 });
  }
  say('output', { node: 'sl-1', stream: 'stdout', text: 'epoch 3: loss 0.312\n' });
  if (query.has('over')) {
    names.filter(node => !lost.has(node)).forEach(node => say('node_finished', { node, digest: 'ab', model: '/m', metrics: { loss: 0.29, metric: 0.93 }, round: rounds }));
    lost.forEach(node => say('node_failed', { node, code: 'SWL-410', message: 'RuntimeError: out of memory', next: 'Take a smaller batch.', traceback: 'Traceback (most recent call last):\n  File "/x/cell-3.py", line 6, in <module>\n    step(model, x, y)\nRuntimeError: out of memory\n', line: 6 }));
    say('finished', { state: lost.size ? 'failed' : 'finished', rounds, model: '/m', digest: 'ab', metrics: {} });
  }
  return facts;
}

function swarmOf(): SwarmInfo {
  const hosts = number('hosts', 1);
  const node = (name: string, kind: string, state: string, host = 'lab-1'): NodeInfo =>
    ({ name, kind, state, host, message: '', phase: kind === 'sl' ? 'TRAINING' : null, load: null, expires: null, faults: [] }) as unknown as NodeInfo;
  const services = [node('license', 'license', 'ready'), node('identity', 'identity', 'ready'), node('chain', 'chain', 'ready'), node('sentinel', 'sentinel', 'ready')];
  const more = hosts > 1 || count > 8 ? [node('sn-2', 'sn', 'ready', hosts > 1 ? 'gpu-b' : 'lab-1')] : [];
  const learning = names.map((name, at) => {
    const made = node(name, 'sl', 'training', hosts > 1 ? ['lab-1', 'gpu-b', 'gpu-c', 'gpu-d', 'gpu-e'][at % hosts] : 'lab-1');
    made.load = query.has('tab') ? { cpu: 40 + at % 50, memory: 3.1e9, gpu: at % 3 ? 88 : null, gpu_memory: null } : null;
    if (query.has('exchanging')) {
      made.phase = 'EXCHANGING';
    }
    return made;
  });
  return { swarm: 'retina', state: 'training', nodes: [...services, ...more, ...learning], trainings: [] } as unknown as SwarmInfo;
}

document.body.dataset.jpThemeLight = String(query.get('theme') !== 'dark');
const host = document.body.appendChild(document.createElement('main'));
host.style.cssText = `width: ${number('width', 980)}px; margin: 12px; background: var(--jp-layout-color1)`;
const selection = new Selection();
const facts = await recorded();
const detail = { ...fold(null, facts), swarm: 'retina' };

/** The facts of a real training where `?recorded=FILE` names one beside the page. */
async function recorded(): Promise<Fact[]> {
  const file = query.get('recorded');
  return file ? ((await (await fetch(file)).json()) as Fact[]) : story();
}

if (query.has('tab')) {
  const swarm = swarmOf();
  const topology = new Topology(host, selection);
  const chart = new LineChart(host, { title: 'Loss', which: 'loss', height: 156, modes: true }, selection);
  const timeline = new Timeline(host, selection);
  const table = new NodeTable(host, selection);
  const draw = (): void => {
    topology.update({ swarm, training: detail });
    chart.update(detail, placesOf(detail, swarm));
    timeline.update(detail, placesOf(detail, swarm));
    table.update({ swarm, training: detail });
  };
  draw();
  report({
    topology: () => topology.update({ swarm, training: detail }),
    chart: () => chart.update(detail, placesOf(detail, swarm)),
    timeline: () => timeline.update(detail, placesOf(detail, swarm)),
    table: () => table.update({ swarm, training: detail })
  });
} else {
  const view = new TrainingView(host, selection, undefined, query.has('bare') ? {} : { open: () => undefined, stop: () => undefined });
  view.update(detail);
  if (query.has('stale')) {
    view.stale(Date.now() / 1000 - 12);
  }
  report({ card: () => view.update(detail) });
}
selection.select({ round: query.has('round') ? number('round', 1) : null, node: query.get('node') });
if (query.has('table')) {
  document.querySelectorAll<HTMLButtonElement>('.swl-Figure-head > button').forEach(made => made.click());
}

/** `?time`: how long an update takes, its layout included. */
function report(parts: Record<string, () => void>): void {
  if (!query.has('time')) {
    return;
  }
  const said = Object.entries(parts).map(([name, draw]) => {
    const spent = Array.from({ length: 60 }, () => {
      const start = performance.now();
      draw();
      void document.body.offsetHeight;
      return performance.now() - start;
    }).sort((a, b) => a - b);
    return `${name} ${spent[30].toFixed(1)} ms, p95 ${spent[57].toFixed(1)} ms`;
  });
  document.body.dataset.time = said.join('; ');
}
