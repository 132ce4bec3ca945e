-- title: The partitions of table.athena.sql, which Athena finds by their names
-- source: Athena, "Use partition projection"; {…} is filled in from the bucket's folders
-- columns: none
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.stretch.type' = 'date',
  'projection.stretch.format' = '{form}',
  'projection.stretch.range' = '{first},NOW',
  'projection.stretch.interval' = '1',
  'projection.stretch.interval.unit' = '{unit}',
  'storage.location.template' = '{location}${stretch}/'
)
