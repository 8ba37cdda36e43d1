/** The tabs of trainings and nodes in the main area: commands that open them, and their return with the layout. */
import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { Widget } from '@lumino/widgets';
import { CommandIDs } from '../commands';
import { labIcon, swarmIcon } from '../labIcons';
import { type Args, nodeOf, OF_NODE, OF_TRAINING, trainingOf } from '../sets/targets';
import { CELL_EVENT, type CellQuestion } from '../cellEvent';
import type { NodeTab } from '../tabs/node';
import type { TrainingTab } from '../tabs/training';
import { ISwarmModel } from '../tokens';

export const tabs: JupyterFrontEndPlugin<void> = {
  id: 'swarm-lab:tabs',
  description: 'Shows trainings and nodes in tabs of the main area.',
  autoStart: true,
  requires: [ISwarmModel],
  optional: [ILabShell, ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: ISwarmModel,
    lab: ILabShell | null,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('swarm_lab');
    const { commands, shell } = app;
    const trainings = new WidgetTracker<MainAreaWidget<TrainingTab>>({ namespace: 'swarm-lab-trainings' });
    const nodes = new WidgetTracker<MainAreaWidget<NodeTab>>({ namespace: 'swarm-lab-nodes' });

    // Notebook 7 has room for one document only: tabs stand beside it there.
    const area = lab === null ? 'right' : 'main';

    /** The tab that is there, or a new one. */
    async function open<T extends Widget>(tracker: WidgetTracker<MainAreaWidget<T>>, id: string, make: () => T): Promise<T> {
      const known = tracker.find(widget => widget.id === id);
      const found = known ?? framed(id, make());
      if (known === undefined) {
        await tracker.add(found);
      }
      if (!found.isAttached) {
        shell.add(found, area, { type: 'Swarms' });
      }
      shell.activateById(id);
      return found.content;
    }

    // A tab that comes back with the layout names a swarm which may not be known yet: its arguments are enough.
    commands.addCommand(CommandIDs.openTraining, {
      label: trans.__('Open Training'),
      caption: trans.__('Show topology, curves and rounds of a training in a tab'),
      icon: swarmIcon,
      describedBy: OF_TRAINING,
      isEnabled: args => Boolean(args.swarm && args.training) || trainingOf(model, args) !== null,
      execute: async args => {
        const found = trainingOf(model, args);
        const of = found
          ? { swarm: found.swarm.swarm, training: found.training.id }
          : { swarm: String(args.swarm ?? ''), training: String(args.training ?? '') };
        if (!of.swarm || !of.training) {
          return undefined;
        }
        const { TrainingTab, trainingTabId } = await import('../tabs/training');
        return open(trainings, trainingTabId(of), () => new TrainingTab(model, of, trans, commands));
      }
    });

    async function openNode(args: Args): Promise<NodeTab | undefined> {
      const found = nodeOf(model, args);
      const of = found
        ? { swarm: found.swarm.swarm, node: found.node.name }
        : { swarm: String(args.swarm ?? ''), node: String(args.node ?? '') };
      if (!of.swarm || !of.node) {
        return undefined;
      }
      const { NodeTab, nodeTabId } = await import('../tabs/node');
      return open(nodes, nodeTabId(of), () => new NodeTab(model, of, trans, commands));
    }
    const opensNode = {
      isEnabled: (args: Args) => Boolean(args.swarm && args.node) || nodeOf(model, args) !== null,
      execute: (args: Args) => openNode(args)
    };
    commands.addCommand(CommandIDs.openNode, {
      label: trans.__('Show Detail'),
      caption: trans.__('Show identity, seat, ledger and log of a node in a tab'),
      icon: labIcon('info'),
      describedBy: OF_NODE,
      ...opensNode
    });
    commands.addCommand(CommandIDs.openLog, {
      label: trans.__('Open Log'),
      caption: trans.__('Follow the log of a node in a tab'),
      icon: labIcon('list'),
      describedBy: OF_NODE,
      ...opensNode
    });

    answerCells(commands, model);
    void restorer?.restore(trainings, {
      command: CommandIDs.openTraining,
      args: widget => ({ ...widget.content.of }),
      name: widget => widget.id
    });
    void restorer?.restore(nodes, {
      command: CommandIDs.openNode,
      args: widget => ({ ...widget.content.of }),
      name: widget => widget.id
    });
  }
};

function framed<T extends Widget>(id: string, content: T): MainAreaWidget<T> {
  const widget = new MainAreaWidget({ content });
  widget.id = id;
  widget.toolbar.hide(); // the tabs have a bar of their own
  return widget;
}

/** The output of `%%swarm train` knows no application: it asks the page, and gets its buttons where there is one. */
function answerCells(commands: CommandRegistry, model: ISwarmModel): void {
  document.addEventListener(CELL_EVENT, event => {
    const asked = (event as CustomEvent<CellQuestion>).detail;
    const { swarm, training } = asked;
    asked.known = model.swarm(swarm)?.trainings.some(one => one.id === training) ?? false;
    if (asked.known && asked.act !== undefined) {
      const command = asked.act === 'open' ? CommandIDs.openTraining : CommandIDs.stopTraining;
      void commands.execute(command, { swarm, training });
    }
  });
}
