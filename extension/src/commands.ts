/** The ids of all commands and widgets, once. */
export namespace CommandIDs {
  export const showPanel = 'swarm-lab:show-panel';
  export const newSwarm = 'swarm-lab:new-swarm';
  export const startDemo = 'swarm-lab:start-demo';
  export const refresh = 'swarm-lab:refresh';
  export const openQuickstart = 'swarm-lab:open-quickstart';

  /** Of a swarm: `{ swarm }`; without it the selected one. */
  export const stopSwarm = 'swarm-lab:stop-swarm';
  export const startSwarm = 'swarm-lab:start-swarm';
  export const purgeSwarm = 'swarm-lab:purge-swarm';
  export const addNodes = 'swarm-lab:add-nodes';
  export const runDoctor = 'swarm-lab:run-doctor';
  export const openSwarmNotebook = 'swarm-lab:open-swarm-as-notebook';
  export const saveScenario = 'swarm-lab:save-scenario';

  /** Of a node: `{ swarm, node }`. */
  export const openNode = 'swarm-lab:open-node';
  export const openLog = 'swarm-lab:open-log';
  export const attachCell = 'swarm-lab:insert-attach-cell';
  export const copyCell = 'swarm-lab:copy-attach-cell';
  export const copyId = 'swarm-lab:copy-identity';
  export const restartNode = 'swarm-lab:restart-node';
  export const removeNode = 'swarm-lab:remove-node';
  export const pauseNode = 'swarm-lab:pause-node';
  export const slowNode = 'swarm-lab:slow-node';
  export const resumeNode = 'swarm-lab:resume-node';
  export const killNode = 'swarm-lab:kill-node';

  /** Of a training: `{ swarm, training }`; without it the last one. */
  export const openTraining = 'swarm-lab:open-training';
  export const stopTraining = 'swarm-lab:stop-training';
  export const resumeTraining = 'swarm-lab:resume-training';
  export const verifyTraining = 'swarm-lab:verify-training';
  export const openTrainingNotebook = 'swarm-lab:open-training-as-notebook';
}

/** The panel's id in the shell. */
export const PANEL_ID = 'swarm-lab-panel';
