/** The small parts of which the panel's sections are made: icons, states, buttons, lines as small as a word. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React, { useEffect, useRef, useState } from 'react';
import type { SwarmFailure } from '../failure';
import { ICONS, type IconName } from '../icons';
import { lineStyle, type Look, type Tone } from '../states';
import { wordsOf } from '../words';

interface IIconProps {
  name: IconName;
  tone?: Tone;
  className?: string;
  /** What it says; one without is for the eye alone. */
  label?: string;
}

export function Icon({ name, tone, className = '', label }: IIconProps): JSX.Element {
  const classes = `swl-Icon ${tone ? `is-${tone}` : ''} ${className}`;
  const spoken = label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': true };
  return (
    <svg className={classes} viewBox="0 0 16 16" {...spoken} dangerouslySetInnerHTML={{ __html: ICONS[name] }} />
  );
}

export function State({ look, trans }: { look: Look; trans: TranslationBundle }): JSX.Element {
  return (
    <span className={`swl-State is-${look.tone}`}>
      <Icon name={look.icon} />
      {wordsOf(trans)(look.word)}
    </span>
  );
}

interface IButtonProps {
  icon?: IconName;
  className?: string;
  disabled?: boolean;
  onClick(event: React.MouseEvent): void;
  children?: React.ReactNode;
}

export function Button({ icon, className = '', disabled, onClick, children }: IButtonProps): JSX.Element {
  return (
    <button type="button" className={`swl-Button ${className}`} disabled={disabled} onClick={onClick}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

interface IIconButtonProps {
  icon: IconName;
  label: string;
  tabIndex?: number;
  onClick(event: React.MouseEvent): void;
}

export function IconButton({ icon, label, tabIndex, onClick }: IIconButtonProps): JSX.Element {
  return (
    <button
      type="button"
      className="swl-Button is-icon"
      title={label}
      aria-label={label}
      tabIndex={tabIndex}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}

/** The line that a node has in all charts. */
export function Swatch({ index }: { index: number }): JSX.Element {
  const { color, dash } = lineStyle(index);
  return (
    <svg className="swl-Swatch" viewBox="0 0 16 4" aria-hidden>
      <line x1="0" x2="16" y1="2" y2="2" stroke={color} strokeWidth="3" strokeDasharray={dash} />
    </svg>
  );
}

/** Values from 0 to 1, oldest first. */
export const Spark = React.memo(function Spark({ points, width = 20 }: { points: string; width?: number }): JSX.Element {
  return (
    <svg className="swl-Spark" width={width} height="12" aria-hidden>
      {points && <path d={`M0,12 L${points.replaceAll(' ', ' L')} L${width},12z`} />}
      <polyline points={points} />
    </svg>
  );
});

/** The points of a `Spark`; as text, so that equal ones draw nothing. */
export function sparkPoints(values: readonly number[], width = 20): string {
  const step = width / Math.max(1, values.length - 1);
  return values
    .map((value, index) => {
      const level = Math.min(1, Math.max(0.04, value));
      return `${(index * step).toFixed(1)},${(11 - 10 * level).toFixed(1)}`;
    })
    .join(' ');
}

interface IBarProps {
  value: number;
  most: number;
  label: string;
  text: string;
}

export function Bar({ value, most, label, text }: IBarProps): JSX.Element {
  return (
    <div
      className="swl-Bar"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={most}
      aria-valuenow={value}
      aria-valuetext={text}
    >
      <i style={{ width: `${Math.min(100, (100 * value) / Math.max(1, most))}%` }} />
    </div>
  );
}

/** Cause and next step. */
export function FailureFacts({ failure, trans }: { failure: SwarmFailure; trans: TranslationBundle }): JSX.Element {
  return (
    <dl className="swl-Message-facts">
      <dt>{trans.__('Cause')}</dt>
      <dd>{failure.message}</dd>
      {failure.next && <dt>{trans.__('Next')}</dt>}
      {failure.next && <dd>{failure.next}</dd>}
    </dl>
  );
}

/** True for a moment after a value has changed: what lights a row once. */
export function useChanged(value: unknown): boolean {
  const last = useRef(value);
  const [changed, setChanged] = useState(false);
  useEffect(() => {
    if (last.current === value) {
      return undefined;
    }
    last.current = value;
    setChanged(true);
    const timer = setTimeout(() => setChanged(false), 600);
    return () => clearTimeout(timer);
  }, [value]);
  return changed;
}
