/** The timeline as a table: a row a round, the newest first. */
import type { Round, RoundTimes, TrainingDetail } from '../api';
import { duration } from '../format';
import { mean } from '../values';
import type { Trans } from '../words';
import { short } from './lanes';
import type { Selection } from './selection';
import type { WindowedTable } from './table';

export function roundTable(table: WindowedTable, detail: TrainingDetail, selection: Selection, trans: Trans): void {
  const { rounds } = detail;
  const at = (row: number): Round => rounds[rounds.length - 1 - row];
  const spent = (round: Round, name: keyof RoundTimes): string =>
    duration(mean(Object.values(round.times).map(times => times[name])));
  const right = true;
  table.update(
    [
      { title: trans.__('Round') },
      { title: trans.__('Took part') },
      { title: trans.__('Length'), right },
      { title: trans.__('Training'), right },
      { title: trans.__('Waiting'), right },
      { title: trans.__('Exchanging'), right },
      { title: trans.__('Coordinator') },
      { title: trans.__('Digest'), className: 'swl-mono' },
      { title: trans.__('Transaction'), className: 'swl-mono' },
      { title: trans.__('Dropped'), className: 'note' }
    ],
    {
      count: rounds.length,
      key: row => String(at(row).round),
      selected: row => at(row).round === selection.round,
      cells: row => {
        const round = at(row);
        const out = Object.entries(round.left_out).map(([node, why]) => `${node}: ${why}`);
        return [
          String(round.round),
          trans.__('%1 of %2', round.nodes.length, round.nodes.length + out.length),
          duration(round.seconds),
          spent(round, 'training'),
          spent(round, 'waiting'),
          spent(round, 'exchanging'),
          round.coordinator ?? '–',
          short(round.digest),
          short(round.tx ?? ''),
          out.join('; ')
        ];
      }
    }
  );
}
