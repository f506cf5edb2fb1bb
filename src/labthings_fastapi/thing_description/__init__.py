"""The W3C Thing Description as data: paths, forms, the model and its validation; pure."""
