/** Commands about one thing: a swarm, a node, a training. */
import type { CommandRegistry } from '@lumino/commands';
import type { Args } from './targets';

/** A command about one thing: it is there if the thing is and `fits`; what it does, it does to that. */
export function about<T>(
  find: (args: Args) => T | null,
  fits: (found: T) => boolean,
  execute: (found: T) => unknown
): Pick<CommandRegistry.ICommandOptions, 'isEnabled' | 'execute'> {
  return {
    isEnabled: args => {
      const found = find(args);
      return found !== null && fits(found);
    },
    execute: args => {
      const found = find(args);
      return found && execute(found);
    }
  };
}
