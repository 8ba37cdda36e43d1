/** The nodes of the chosen swarm as a tree: what runs, what it is doing, what needs a look. */
import React, { useRef, useState } from 'react';
import { CommandIDs } from '../commands';
import { step, usePanel } from './context';
import { startNodeDrag } from './drag';
import { GroupLine, NodeLine } from './nodeLines';
import { Marks } from './marks';
import { Icon } from './parts';
import { type GroupKey, moveIn, type Row, treeOf, WITH_ROWS } from './tree';

export function Nodes(): JSX.Element {
  const { model, commands, trans } = usePanel();
  const swarm = model.selected === null ? null : model.swarm(model.selected);
  const [closed, setClosed] = useState<ReadonlySet<GroupKey>>(new Set());
  const [filter, setFilter] = useState('');
  const [focused, setFocused] = useState<string | null>(null);
  const tree = useRef<HTMLDivElement>(null);
  if (swarm === null) {
    return <p className="swl-None">{trans.__('No swarm is chosen.')}</p>;
  }
  const many = swarm.nodes.filter(node => node.kind === 'sl').length > WITH_ROWS;
  const { rows, marks } = treeOf(swarm, closed, many ? filter : '');
  const chosen = focused ?? model.selectedNode;
  const at = Math.max(0, rows.findIndex(row => row.key === chosen));

  const focus = (index: number): void => {
    const row = rows[index];
    setFocused(row.key);
    if (row.kind === 'node') {
      model.select(swarm.swarm, { node: row.node.name });
    }
    tree.current?.querySelectorAll<HTMLElement>('.swl-Node')[index]?.focus();
  };
  const toggle = (key: GroupKey): void => {
    const next = new Set(closed);
    if (!next.delete(key)) {
      next.add(key);
    }
    setClosed(next);
  };
  const open = (row: Row): void => {
    if (row.kind === 'group') {
      toggle(row.key);
    } else {
      void commands.execute(CommandIDs.openNode, { swarm: swarm.swarm, node: row.node.name });
    }
  };
  const onKeyDown = (event: React.KeyboardEvent): void => {
    if (!(event.target as HTMLElement).classList.contains('swl-Node')) {
      return;
    }
    const move = event.key === 'Enter' ? null : moveIn(rows, at, event.key);
    if (event.key === 'Enter') {
      open(rows[at]);
    } else if (move?.toggle !== undefined) {
      toggle(move.toggle);
    } else if (move?.to !== undefined) {
      focus(move.to);
    } else {
      return;
    }
    event.preventDefault();
  };
  const index = (row: Row): number => rows.indexOf(row);
  return (
    <div className={`swl-Nodes ${model.link === 'live' ? '' : 'is-stale'}`} data-swarm={swarm.swarm}>
      {many && (
        <label className="swl-Search swl-Nodes-filter">
          <Icon name="search" />
          <input
            type="search"
            value={filter}
            aria-label={trans.__('Filter nodes')}
            placeholder={trans.__('Filter %1 nodes: name, host, state', swarm.nodes.length)}
            onChange={event => setFilter(event.target.value)}
            onKeyDown={event => step(event.key, 0, 1) !== null && event.stopPropagation()}
          />
        </label>
      )}
      <div
        ref={tree}
        className="swl-NodeTree"
        role="treegrid"
        aria-label={trans.__('Nodes of %1', swarm.swarm)}
        onKeyDown={onKeyDown}
      >
        <div className="swl-NodeTree-head" role="row">
          <span role="columnheader">{trans.__('Name')}</span>
          <span role="columnheader">{trans.__('State')}</span>
          <span role="columnheader" className="r seat">
            {trans.__('Seat')}
          </span>
          <span role="columnheader" className="r">
            {trans.__('Identity')}
          </span>
        </div>
        {rows.map(row =>
          row.kind === 'group' ? (
            <React.Fragment key={row.key}>
              <GroupLine row={row} current={index(row) === at} trans={trans} onToggle={() => toggle(row.key)} />
              {row.key === 'learning' && marks !== null && <Marks marks={marks} swarm={swarm} trans={trans} />}
            </React.Fragment>
          ) : (
            <NodeLine
              key={row.key}
              row={row}
              swarm={swarm.swarm}
              loads={model.loads.of(swarm.swarm, row.node.name)}
              current={index(row) === at}
              selected={row.node.name === model.selectedNode}
              trans={trans}
              onSelect={() => focus(index(row))}
              onOpen={() => open(row)}
              onLog={() => void commands.execute(CommandIDs.openLog, { swarm: swarm.swarm, node: row.node.name })}
              onDrag={event => startNodeDrag(event, swarm.swarm, row.node.name)}
            />
          )
        )}
      </div>
    </div>
  );
}
