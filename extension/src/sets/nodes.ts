/** The commands about one node. */
import { Clipboard } from '@jupyterlab/apputils';
import type { CommandRegistry } from '@lumino/commands';
import { MimeData } from '@lumino/coreutils';
import { Work } from '../actions/work';
import { attachSource, CELL_MIME, codeCell } from '../cells';
import { CommandIDs } from '../commands';
import { labIcon } from '../labIcons';
import { nodeOf, OF_NODE } from './targets';
import type { ISet } from './index';

export function addNodeCommands(commands: CommandRegistry, set: ISet): void {
  addLifeCommands(commands, set);
  addFaultCommands(commands, set);
  addCellCommands(commands, set);
}

function addLifeCommands(commands: CommandRegistry, { model, trans }: ISet): void {
  const work = new Work(model, trans);
  const actions = () => import('../actions/nodes');
  commands.addCommand(CommandIDs.restartNode, {
    label: trans.__('Restart Node'),
    caption: trans.__('Stop the node and start it again'),
    icon: labIcon('refresh'),
    describedBy: OF_NODE,
    isEnabled: args => nodeOf(model, args) !== null,
    execute: async args => {
      const found = nodeOf(model, args);
      return found && (await actions()).restartNode(work, found.swarm.swarm, found.node.name);
    }
  });
  commands.addCommand(CommandIDs.removeNode, {
    label: trans.__('Remove Node…'),
    caption: trans.__('Stop a learning node for good'),
    icon: labIcon('minus'),
    describedBy: OF_NODE,
    isEnabled: args => nodeOf(model, args)?.node.kind === 'sl',
    execute: async args => {
      const found = nodeOf(model, args);
      return found && (await actions()).removeNode(work, found.swarm.swarm, found.node.name);
    }
  });
  commands.addCommand(CommandIDs.copyId, {
    label: trans.__('Copy SPIFFE ID'),
    caption: trans.__('Copy the name in the identity of the node'),
    icon: labIcon('copy'),
    describedBy: OF_NODE,
    isEnabled: args => Boolean(nodeOf(model, args)?.node.spiffe_id),
    execute: args => {
      const id = nodeOf(model, args)?.node.spiffe_id;
      return id ? Clipboard.copyToSystem(id) : undefined;
    }
  });
}

/** What a test may want to be done to a node. */
function addFaultCommands(commands: CommandRegistry, { model, trans }: ISet): void {
  const work = new Work(model, trans);
  const actions = () => import('../actions/nodes');
  commands.addCommand(CommandIDs.pauseNode, {
    label: trans.__('Pause Node…'),
    caption: trans.__('Freeze the processes of the node for some seconds'),
    describedBy: OF_NODE,
    isEnabled: args => Boolean(nodeOf(model, args)?.node.pid),
    execute: async args => {
      const found = nodeOf(model, args);
      return found && (await actions()).pauseNode(work, found.swarm.swarm, found.node.name);
    }
  });
  commands.addCommand(CommandIDs.slowNode, {
    label: trans.__('Slow Node…'),
    caption: trans.__('Hold the processes of the node back for a while'),
    describedBy: OF_NODE,
    isEnabled: args => Boolean(nodeOf(model, args)?.node.pid),
    execute: async args => {
      const found = nodeOf(model, args);
      return found && (await actions()).slowNode(work, found.swarm.swarm, found.node.name);
    }
  });
  commands.addCommand(CommandIDs.resumeNode, {
    label: trans.__('Let Node Go On'),
    caption: trans.__('End what holds the node back'),
    describedBy: OF_NODE,
    isEnabled: args => (nodeOf(model, args)?.node.faults.length ?? 0) > 0,
    execute: async args => {
      const found = nodeOf(model, args);
      return found && (await actions()).resumeNode(work, found.swarm.swarm, found.node.name);
    }
  });
  commands.addCommand(CommandIDs.killNode, {
    label: trans.__('Kill Node'),
    caption: trans.__('End the processes of the node at once; the supervisor starts it again'),
    describedBy: OF_NODE,
    isEnabled: args => Boolean(nodeOf(model, args)?.node.pid),
    execute: async args => {
      const found = nodeOf(model, args);
      return found && (await actions()).killNode(work, found.swarm.swarm, found.node.name);
    }
  });
}

function addCellCommands(commands: CommandRegistry, { model, trans, insertCell }: ISet): void {
  commands.addCommand(CommandIDs.attachCell, {
    label: trans.__('Insert a Cell That Attaches'),
    caption: trans.__('Insert a cell that attaches to the node below the active cell of the notebook'),
    icon: labIcon('notebook'),
    describedBy: OF_NODE,
    isEnabled: args => nodeOf(model, args) !== null && insertCell?.(null) === true,
    execute: args => {
      const found = nodeOf(model, args);
      return found && insertCell?.(attachSource(found.swarm.swarm, found.node.name));
    }
  });
  commands.addCommand(CommandIDs.copyCell, {
    label: trans.__('Copy a Cell That Attaches'),
    caption: trans.__('Copy a cell that attaches to the node, to be pasted into a notebook'),
    icon: labIcon('copy'),
    describedBy: OF_NODE,
    isEnabled: args => nodeOf(model, args) !== null,
    execute: args => {
      const found = nodeOf(model, args);
      if (found === null) {
        return;
      }
      const source = attachSource(found.swarm.swarm, found.node.name);
      const data = new MimeData();
      data.setData(CELL_MIME, [codeCell(source)]);
      data.setData('text/plain', source);
      Clipboard.setInstance(data);
      Clipboard.copyToSystem(source);
    }
  });
}
