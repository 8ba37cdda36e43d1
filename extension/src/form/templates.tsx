/** How the form is laid out: the label left, the control right, help and what is wrong below, tied to the control. */
import type { FieldTemplateProps, ObjectFieldTemplateProps } from '@rjsf/utils';
import React from 'react';
import { Icon } from '../panel/parts';

function Field(props: FieldTemplateProps): JSX.Element {
  const { id, label, schema, hidden, displayLabel, rawErrors = [], rawDescription, children } = props;
  if (hidden || schema.type === 'object') {
    return <div hidden={hidden}>{children}</div>;
  }
  return (
    <div className={`swl-Field ${rawErrors.length > 0 ? 'is-bad' : ''}`}>
      {displayLabel ? <label htmlFor={id}>{label}</label> : <span />}
      {children}
      {rawErrors.length > 0 && (
        <div className="err" id={`${id}__error`}>
          <Icon name="failed" tone="bad" />
          {rawErrors.join(' ')}
        </div>
      )}
      {rawDescription && (
        <div className="help" id={`${id}__description`}>
          {rawDescription}
        </div>
      )}
    </div>
  );
}

function Fields({ properties }: ObjectFieldTemplateProps): JSX.Element {
  return <>{properties.map(({ content }) => content)}</>;
}

export const templates = { FieldTemplate: Field, ObjectFieldTemplate: Fields };
