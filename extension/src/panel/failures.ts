/** Which failed operation the panel shows. */
import type { Operation } from '../api';
import { SwarmFailure } from '../failure';
import type { Trans } from '../words';

export interface Shown {
  id: string;
  failure: SwarmFailure;
  headline(trans: Trans): string;
}

/** The newest failure of the swarm, or of none, that was not put away and that the same verb has not mended since. */
export function newestFailure(
  operations: readonly Operation[],
  swarm: string | null,
  away: ReadonlySet<string>
): Shown | null {
  const about = operations.filter(one => one.swarm === null || one.swarm === swarm);
  const failed = about.filter(one => one.state === 'failed' && one.error !== null && !away.has(one.id));
  const newest = failed.sort((a, b) => a.started - b.started).pop();
  if (newest === undefined) {
    return null;
  }
  const same = (one: Operation): boolean => one.verb === newest.verb && one.node === newest.node;
  if (about.some(one => same(one) && one.state !== 'failed' && one.started >= newest.started)) {
    return null;
  }
  return { id: newest.id, failure: SwarmFailure.of(newest.error!), headline: trans => headlineOf(newest, trans) };
}

function headlineOf({ verb, swarm, node, training }: Operation, trans: Trans): string {
  const what = node ?? training ?? swarm ?? '';
  switch (verb) {
    case 'up':
    case 'demo':
      return swarm === null ? trans.__('The swarm did not start') : trans.__('%1 did not start', swarm);
    case 'down':
      return trans.__('%1 was not stopped', what);
    case 'add':
      return trans.__('No node was added to %1', what);
    case 'remove':
      return trans.__('%1 was not removed', what);
    case 'restart':
      return trans.__('%1 was not restarted', what);
    case 'train':
      return trans.__('The training did not start');
    default:
      return trans.__('“%1” failed', verb);
  }
}
