/** Commands about one thing: a swarm, a node, a training. */
import { Notification } from '@jupyterlab/apputils';
import type { CommandRegistry } from '@lumino/commands';
import type { Trans } from '../words';
import type { Args } from './targets';

/** A command is there if the thing is and `fits`; what it does, it does to that. */
export type About<T> = (
  fits: (found: T) => boolean,
  execute: (found: T) => unknown
) => Pick<CommandRegistry.ICommandOptions, 'isEnabled' | 'execute'>;

/** For all commands that `find` what they are about. A menu may outlive it: then that is said. */
export function about<T>(trans: Trans, find: (args: Args) => T | null): About<T> {
  return (fits, execute) => ({
    isEnabled: args => {
      const found = find(args);
      return found !== null && fits(found);
    },
    execute: args => {
      const found = find(args);
      return found === null
        ? Notification.warning(trans.__('Nothing was done: what it was to be done to is no longer there.'), { autoClose: 8000 })
        : execute(found);
    }
  });
}
