/** What stands in the dialogs: a failure, the doctor's report, a scenario. */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import React from 'react';
import type { Check, Report } from '../api';
import type { SwarmFailure } from '../failure';
import { FailureFacts, Icon } from '../panel/parts';

/** Ask before what cannot be taken back; `act` is the button that does it. */
export async function confirmed(
  trans: TranslationBundle,
  question: { title: string; body: string; act: string }
): Promise<boolean> {
  const { title, body, act } = question;
  const buttons = [Dialog.cancelButton({ label: trans.__('Cancel') }), Dialog.warnButton({ label: act })];
  return (await showDialog({ title, body, buttons })).button.accept;
}

export function failureBody(failure: SwarmFailure, trans: TranslationBundle): ReactWidget {
  return ReactWidget.create(
    <div className="swl-Dialog-body">
      <FailureFacts failure={failure} trans={trans} />
    </div>
  );
}

/** Each check with its icon; those that are not well come first, with what to do. */
export function reportBody(report: Report, trans: TranslationBundle): ReactWidget {
  const checks = [...report.checks].sort((a, b) => Number(a.ok) - Number(b.ok));
  return ReactWidget.create(
    <div className="swl-Dialog-body">
      <ul className="swl-Report">
        {checks.map((check, index) => (
          <CheckLine key={index} check={check} trans={trans} />
        ))}
      </ul>
      {report.bundle !== null && (
        <p>
          {trans.__('Logs without keys or data, to send around:')}{' '}
          <code className="swl-Code">{report.bundle}</code>
        </p>
      )}
    </div>
  );
}

function CheckLine({ check, trans }: { check: Check; trans: TranslationBundle }): JSX.Element {
  const label = check.ok ? trans.__('well') : trans.__('not well');
  return (
    <li>
      <Icon name={check.ok ? 'ready' : 'warn'} tone={check.ok ? 'ok' : 'warn'} label={label} />
      <span className="swl-b">{check.check}</span>
      <span>{check.message}</span>
      {!check.ok && check.next && <span className="swl-Report-next">{check.next}</span>}
    </li>
  );
}

export function textBody(text: string, note: string): ReactWidget {
  return ReactWidget.create(
    <div className="swl-Dialog-body">
      <p>{note}</p>
      <pre className="swl-Dialog-text" tabIndex={0}>
        {text}
      </pre>
    </div>
  );
}

export async function showReport(report: Report, trans: TranslationBundle): Promise<void> {
  await showDialog({
    title: report.ok ? trans.__('%1 is well', report.swarm) : trans.__('%1 needs a look', report.swarm),
    body: reportBody(report, trans),
    buttons: [Dialog.okButton({ label: trans.__('Close') })]
  });
}
