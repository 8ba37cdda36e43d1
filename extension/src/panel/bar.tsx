/** The panel's bar: the one blue button, and what concerns all swarms. */
import React from 'react';
import { CommandIDs } from '../commands';
import { usePanel } from './context';
import { Button, IconButton } from './parts';

export function PanelBar(): JSX.Element {
  const { model, commands, trans } = usePanel();
  const usable = model.failure === null || model.failure.kind === 'network';
  return (
    <div className="swl-Panel-bar">
      <Button
        icon="plus"
        className={model.swarms.length > 0 ? 'is-main' : ''}
        disabled={!usable}
        onClick={() => void commands.execute(CommandIDs.newSwarm)}
      >
        {trans.__('New swarm')}
      </Button>
      <span className="swl-grow" />
      {model.selected !== null && (
        <IconButton
          icon="doctor"
          label={trans.__('Check %1 (doctor)', model.selected)}
          onClick={() => void commands.execute(CommandIDs.runDoctor)}
        />
      )}
      <IconButton
        icon="refresh"
        label={trans.__('Read everything again')}
        onClick={() => void commands.execute(CommandIDs.refresh)}
      />
    </div>
  );
}
