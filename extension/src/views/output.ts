/** What programs said: each failure once, however many nodes met it, and the last lines of output, folded away. */
import type { Failure, OutputLine, TrainingDetail } from '../api';
import type { Trans } from '../words';
import { el, icon, setText } from './dom';

export class ProgramSays {
  readonly node = el('div', 'swl-Says');

  constructor(trans: Trans) {
    this._trans = trans;
    this._details = el('details', 'swl-Trace', {}, el('summary', '', {}, trans.__('Output of the programs')), this._lines);
    this._details.addEventListener('toggle', () => this._write());
    this.node.append(this._failures, this._details);
  }

  update(detail: TrainingDetail): void {
    const key = Object.entries(detail.failures).map(([node, { code, message }]) => `${node} ${code} ${message}`).join('\n');
    if (key !== this._shown) {
      this._shown = key;
      this._failures.replaceChildren(...together(detail).map(([nodes, failure]) => this._failure(nodes, failure)));
    }
    this._output = detail.output ?? [];
    this._details.hidden = this._output.length === 0;
    this._write();
  }

  private _write(): void {
    if (this._details.open) {
      setText(this._lines, this._output.map(line => `${line.node}  ${line.text}`).join('\n'));
    }
  }

  private _failure(nodes: string[], failure: Failure): HTMLElement {
    const trans = this._trans;
    const said = cleanTrace(failure.traceback || failure.message);
    const head = el('b', '', {}, trans.__('The program failed on %1', nodes.join(', ')));
    const code = failure.code ? el('span', 'swl-CodeTag', {}, failure.code) : null;
    const line = failure.line ? el('span', 'swl-2', {}, trans.__('line %1', failure.line)) : null;
    const next = failure.next ? el('p', 'swl-2', {}, failure.next) : null;
    return el(
      'div',
      'swl-Trace',
      { role: 'alert' },
      el('div', 'swl-Trace-head', {}, icon('failed', 'is-bad'), head, code, line),
      el('pre', '', {}, said),
      next
    );
  }

  private _trans: Trans;
  private _shown = '';
  private _output: OutputLine[] = [];
  private _failures = el('div');
  private _details: HTMLDetailsElement;
  private _lines = el('pre');
}

/** A traceback without the paths of the node's machine: the name of each file, and `cell 3` for a cell. */
export function cleanTrace(text: string): string {
  return text
    .trimEnd()
    .replace(/File "[^"\n]*?([^/"\n]+)"/g, 'File "$1"')
    .replace(/cell-(\d+)\.py/g, 'cell $1');
}

function together(detail: TrainingDetail): [string[], Failure][] {
  const found = new Map<string, [string[], Failure]>();
  for (const node of detail.nodes.filter(name => name in detail.failures)) {
    const failure = detail.failures[node];
    const key = `${failure.message}\n${cleanTrace(failure.traceback ?? '')}`;
    const known = found.get(key);
    if (known) {
      known[0].push(node);
    } else {
      found.set(key, [[node], failure]);
    }
  }
  return [...found.values()];
}
