/** The swarms among the running sessions: each with its trainings, to be stopped from there. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { type IRunningSessions, IRunningSessionManagers } from '@jupyterlab/running';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Work } from '../actions/work';
import type { SwarmInfo } from '../api';
import { CommandIDs } from '../commands';
import { labIcon, swarmIcon } from '../labIcons';
import { progressOf } from '../panel/swarms';
import { running as runs } from '../states';
import { ISwarmModel } from '../tokens';

export const running: JupyterFrontEndPlugin<void> = {
  id: 'swarm-lab:running',
  description: 'Lists the swarms in the running panel.',
  autoStart: true,
  requires: [ISwarmModel],
  optional: [IRunningSessionManagers, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: ISwarmModel,
    managers: IRunningSessionManagers | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('swarm_lab');
    const work = new Work(model, trans);
    const up = (): SwarmInfo[] => model.swarms.filter(swarm => swarm.state !== 'stopped' && !swarm.error);
    // Who stops something here has pressed a button that says so, on a row that names it.
    const stop = async (swarm: string): Promise<void> => {
      const { down } = await import('../actions/swarms');
      await down(work, swarm);
    };
    managers?.add({
      name: trans.__('Swarms'),
      supportsMultipleViews: false,
      running: () =>
        up().map(swarm => {
          const training = runs(swarm);
          const children: IRunningSessions.IRunningItem[] =
            training === null
              ? []
              : [
                  {
                    icon: () => labIcon('training'),
                    label: () => trans.__('Training %1', training.id),
                    detail: () => trans._n('%1 node', '%1 nodes', training.nodes.length),
                    open: () =>
                      void app.commands.execute(CommandIDs.openTraining, {
                        swarm: swarm.swarm,
                        training: training.id
                      }),
                    shutdown: () =>
                      void app.commands.execute(CommandIDs.stopTraining, {
                        swarm: swarm.swarm,
                        training: training.id
                      })
                  }
                ];
          return {
            icon: () => swarmIcon,
            label: () => swarm.swarm,
            detail: () => progressOf(swarm, trans),
            labelTitle: () => swarm.directory,
            open: () => {
              model.selected = swarm.swarm;
              void app.commands.execute(CommandIDs.showPanel);
            },
            shutdown: () => stop(swarm.swarm),
            children
          };
        }),
      runningChanged: model.changed,
      refreshRunning: () => void model.refresh(),
      shutdownAll: () => up().forEach(swarm => void stop(swarm.swarm)),
      shutdownLabel: trans.__('Stop'),
      shutdownAllLabel: trans.__('Stop All'),
      shutdownAllConfirmationText: trans.__(
        'Stop all swarms? Their keys, models and logs stay; they can be started again.'
      )
    });
  }
};
