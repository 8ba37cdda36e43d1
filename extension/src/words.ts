/** Translation as the parts without JupyterLab need it: by type only, so that tests and cells need no JupyterLab. */
import type { TranslationBundle } from '@jupyterlab/translation';

export type Trans = Pick<TranslationBundle, '__' | '_n'>;

/** Translates a text that stands elsewhere as a constant, such as the word of a state. */
export type Words = (text: string) => string;

export function wordsOf(trans: Trans): Words {
  // eslint-disable-next-line jupyter/no-dynamic-translation -- the constants are English and found by their places
  return text => trans.__(text);
}

/** English, with the values filled in. */
export const english: Trans = {
  __: (text, ...values) => filled(text, values),
  _n: (one, many, count, ...values) => filled(count === 1 ? one : many, [count, ...values])
};

function filled(text: string, values: unknown[]): string {
  return text.replace(/%(\d)/g, (_, index: string) => String(values[Number(index) - 1]));
}
