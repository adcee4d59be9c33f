// Viewer response: the object that siteferry generates at the key of a directory becomes a redirect to its URL.
function handler(event) {
    var response = event.response;
    var kind = response.headers['x-amz-meta-siteferry-generated'];
    if (!kind || kind.value !== 'directory-redirect') {
        return response;
    }
    return {
        statusCode: 301,
        statusDescription: 'Moved Permanently',
        headers: {
            location: { value: directoryUrl(event.request) },
            'cache-control': { value: 'public, max-age=60' }
        }
    };
}
