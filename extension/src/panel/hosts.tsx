/** The hosts: how much of each is taken. */
import React from 'react';
import type { HostInfo } from '../api';
import { bytes, percent } from '../format';
import { usePanel } from './context';
import { Bar, Icon } from './parts';

export function Hosts(): JSX.Element {
  const { model, trans } = usePanel();
  if (model.hosts.length === 0) {
    return <p className="swl-None">{trans.__('No host is known.')}</p>;
  }
  return (
    <ul className={`swl-Hosts ${model.link === 'live' ? '' : 'is-stale'}`} aria-label={trans.__('Hosts')}>
      {model.hosts.map(host => (
        <Host key={host.name} host={host} />
      ))}
    </ul>
  );
}

function Host({ host }: { host: HostInfo }): JSX.Element {
  const { trans } = usePanel();
  return (
    <li className="swl-Host">
      <div className="swl-Host-head">
        <Icon name="host" className="kind" />
        <span className="swl-b swl-cut">{host.name}</span>
        <span className="swl-small swl-2">{trans.__('%1 free on disk', bytes(host.disk_free))}</span>
      </div>
      <Gauge
        label={trans.__('CPU')}
        value={host.cpu}
        most={100}
        text={`${percent(host.cpu)} ${trans._n('of %1 core', 'of %1 cores', host.cpus)}`}
      />
      <Gauge
        label={trans.__('Memory')}
        value={host.memory_used}
        most={host.memory}
        text={trans.__('%1 of %2', bytes(host.memory_used), bytes(host.memory))}
      />
      {host.gpus.map(gpu => (
        <Gauge
          key={gpu.index}
          label={trans.__('GPU %1', gpu.index)}
          value={gpu.load ?? gpu.memory_used}
          most={gpu.load === null ? gpu.memory : 100}
          text={`${percent(gpu.load)}, ${trans.__('%1 of %2', bytes(gpu.memory_used), bytes(gpu.memory))}`}
          title={gpu.name}
        />
      ))}
    </li>
  );
}

interface IGaugeProps {
  label: string;
  value: number;
  most: number;
  text: string;
  title?: string;
}

function Gauge({ label, value, most, text, title }: IGaugeProps): JSX.Element {
  return (
    <div className="swl-Gauge" title={title}>
      <span className="swl-2">{label}</span>
      <Bar value={Math.round(value)} most={most} label={label} text={text} />
      <span className="swl-num">{text}</span>
    </div>
  );
}
