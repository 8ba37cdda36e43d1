/** The commands about swarms. */
import type { CommandRegistry } from '@lumino/commands';
import { Work } from '../actions/work';
import { CommandIDs } from '../commands';
import { labIcon } from '../labIcons';
import { about } from './about';
import { OF_SWARM, swarmOf } from './targets';
import type { ISet } from './index';

const DOWN = new Set(['stopped', 'failed']);

export function addSwarmCommands(commands: CommandRegistry, { model, trans, openNotebook }: ISet): void {
  const work = new Work(model, trans);
  const actions = () => import('../actions/swarms');
  const onChosen = about(trans, args => swarmOf(model, args));

  commands.addCommand(CommandIDs.stopSwarm, {
    label: trans.__('Stop Swarm…'),
    caption: trans.__('Stop every node of the swarm; it can be started again'),
    icon: labIcon('stop'),
    describedBy: OF_SWARM,
    ...onChosen(({ state }) => !DOWN.has(state), async swarm => (await actions()).stopSwarm(work, swarm))
  });
  commands.addCommand(CommandIDs.startSwarm, {
    label: trans.__('Start Swarm Again'),
    caption: trans.__('Bring a stopped swarm up with its keys, addresses and ledger'),
    icon: labIcon('play'),
    describedBy: OF_SWARM,
    ...onChosen(({ state }) => DOWN.has(state), async swarm => (await actions()).startSwarm(work, swarm.swarm))
  });
  commands.addCommand(CommandIDs.purgeSwarm, {
    label: trans.__('Remove Swarm…'),
    caption: trans.__('Stop the swarm and delete its keys, ledger, models and logs'),
    icon: labIcon('minus'),
    describedBy: OF_SWARM,
    ...onChosen(() => true, async swarm => (await actions()).purgeSwarm(work, swarm.swarm))
  });
  commands.addCommand(CommandIDs.addNodes, {
    label: trans.__('Add Learning Nodes…'),
    caption: trans.__('Add learning nodes to a running swarm'),
    icon: labIcon('plus'),
    describedBy: {
      args: {
        type: 'object',
        properties: {
          ...OF_SWARM.args.properties,
          count: { type: 'integer', description: 'How many; is asked for if missing', minimum: 1, maximum: 64 }
        }
      }
    },
    isEnabled: args => !DOWN.has(swarmOf(model, args)?.state ?? 'stopped'),
    execute: async args => {
      const swarm = swarmOf(model, args);
      const count = typeof args.count === 'number' ? args.count : undefined;
      return swarm && (await actions()).addNodes(work, swarm.swarm, count);
    }
  });
  commands.addCommand(CommandIDs.runDoctor, {
    label: trans.__('Examine Swarm (Doctor)'),
    caption: trans.__('Check what may be wrong with the swarm and collect its logs'),
    icon: labIcon('doctor'),
    describedBy: OF_SWARM,
    ...onChosen(() => true, async swarm => (await actions()).runDoctor(work, swarm.swarm))
  });
  commands.addCommand(CommandIDs.openSwarmNotebook, {
    label: trans.__('Open Swarm as Notebook'),
    caption: trans.__('Open a notebook that brings this swarm up again'),
    icon: labIcon('notebook'),
    describedBy: OF_SWARM,
    ...onChosen(() => openNotebook !== null, swarm => openNotebook?.('swarms', swarm.swarm, 'notebook'))
  });
  commands.addCommand(CommandIDs.saveScenario, {
    label: trans.__('Save Scenario'),
    caption: trans.__('Save what was done to the nodes of the swarm as a file that pytest replays'),
    icon: labIcon('download'),
    describedBy: OF_SWARM,
    ...onChosen(() => true, async swarm => (await actions()).saveScenario(work, swarm.swarm))
  });
}
