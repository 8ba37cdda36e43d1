/** What every section has at hand. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import React, { useContext, useEffect, useReducer } from 'react';
import type { Work } from '../actions/work';
import type { ISwarmModel } from '../tokens';

export interface IPanelContext {
  model: ISwarmModel;
  commands: CommandRegistry;
  trans: TranslationBundle;
  work: Work;
}

export const PanelContext = React.createContext<IPanelContext | null>(null);

/** The context; the calling component is drawn again when the model says so. */
export function usePanel(): IPanelContext {
  const context = useContext(PanelContext);
  if (context === null) {
    throw new Error('outside of the panel');
  }
  const [, draw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const { changed } = context.model;
    changed.connect(draw);
    return () => void changed.disconnect(draw);
  }, [context]);
  return context;
}

/** Open JupyterLab's own context menu of an element, for buttons that stand for it. */
export function openMenu(event: React.MouseEvent): void {
  const button = event.currentTarget as HTMLElement;
  const { left, bottom } = button.getBoundingClientRect();
  const init = { bubbles: true, cancelable: true, clientX: left, clientY: bottom };
  button.dispatchEvent(new MouseEvent('contextmenu', init));
  event.stopPropagation();
}

/** Where ↑ ↓ Home and End lead in a list of so many; null for any other key. */
export function step(key: string, index: number, count: number): number | null {
  switch (key) {
    case 'ArrowDown':
      return Math.min(count - 1, index + 1);
    case 'ArrowUp':
      return Math.max(0, index - 1);
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return null;
  }
}
